import type { Connection, DatabaseError, Submittable } from 'pg'
import { prepareValue } from 'pg/lib/utils.js'
import { type Column, columnsOf, type FieldDescription } from './columns.ts'
import { type PreparedStatements, statementName } from './prepared-statements.ts'

/** One statement of a pipeline. */
export interface Step {
  readonly sql: string
  readonly values: readonly unknown[]
}

export interface StepResult {
  readonly rows: Record<string, unknown>[]
  /** The command tag's verb, such as `SELECT` or `UPDATE`. */
  readonly command: string
  readonly rowCount: number
}

/** The messages of pg's connection that a pipeline writes; its own types leave most of them out. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { name: string; text: string }): void
  bind(message: { statement: string; values: readonly (string | Buffer | null)[] }): void
  describe(message: { type: 'P'; name: string }): void
  execute(message: { rows: number }): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
}

interface Reply {
  columns: readonly Column[] | undefined
  rows: Record<string, unknown>[]
  command: string
  rowCount: number
}

/**
 * Several statements in one packet, with one Sync behind them. Postgres runs what lies before a Sync as one
 * implicit transaction, so what the first statement sets for the transaction reaches the others and is gone
 * afterwards; the first error skips the rest. Always the extended protocol: a statement without values, too,
 * has the others in front of it.
 *
 * pg calls the handlers in the order of the replies. Source:
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
export class Pipeline implements Submittable {
  readonly result: Promise<StepResult[]>
  /** The step whose reply is being read; after an error, the one that failed. */
  stepIndex = 0

  readonly #steps: readonly Step[]
  readonly #values: (string | Buffer | null)[][]
  readonly #prepared: PreparedStatements | null
  readonly #replies: Reply[] = []
  readonly #resolve: (results: StepResult[]) => void
  readonly #reject: (error: unknown) => void
  #parseError: unknown

  /** `prepared` is what the connection has prepared already; null sends every statement unnamed. */
  constructor(steps: readonly Step[], prepared: PreparedStatements | null) {
    this.#steps = steps
    // Here, and not while writing: a value that can't be sent must not leave half a pipeline on the wire.
    this.#values = steps.map(step => step.values.map(value => prepareValue(value)))
    this.#prepared = prepared
    const { promise, resolve, reject } = Promise.withResolvers<StepResult[]>()
    this.result = promise
    this.#resolve = resolve
    this.#reject = reject
  }

  submit(connection: Connection): void {
    const wire = connection as unknown as Wire
    wire.stream.cork()
    try {
      for (let i = 0; i < this.#steps.length; i++) this.#write(wire, i)
      wire.sync()
    } finally {
      wire.stream.uncork()
    }
  }

  #write(wire: Wire, index: number): void {
    const step = this.#steps[index] as Step
    const known = this.#prepared?.get(step.sql)
    let name = known?.name ?? ''
    if (!known) {
      if (this.#prepared) {
        name = statementName(step.sql)
        const evicted = this.#prepared.evict()
        if (evicted) wire.close({ type: 'S', name: evicted })
        // An earlier attempt may have prepared it and failed afterwards; closing what does not exist is no
        // error.
        wire.close({ type: 'S', name })
      }
      wire.parse({ name, text: step.sql })
    }
    wire.bind({ statement: name, values: this.#values[index] ?? [] })
    if (!known) wire.describe({ type: 'P', name: '' })
    wire.execute({ rows: 0 })
    this.#replies.push({ columns: known?.columns, rows: [], command: '', rowCount: 0 })
  }

  get #reply(): Reply {
    const reply = this.#replies[this.stepIndex]
    if (!reply) throw new Error('the server answered more statements than were sent')
    return reply
  }

  handleRowDescription(message: { fields: FieldDescription[] }): void {
    this.#reply.columns = columnsOf(message.fields)
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    const reply = this.#reply
    const columns = reply.columns ?? []
    const row: Record<string, unknown> = {}
    try {
      for (let i = 0; i < columns.length; i++) {
        const column = columns[i] as Column
        const text = message.fields[i]
        row[column.name] = text == null ? null : column.parse(text)
      }
      reply.rows.push(row)
    } catch (error) {
      // Thrown here it would escape into pg's parser; the pipeline ends as it should and fails then.
      this.#parseError ??= error
    }
  }

  handleCommandComplete(message: { text: string }): void {
    const reply = this.#reply
    const tag = message.text
    const verbEnd = tag.indexOf(' ')
    reply.command = verbEnd === -1 ? tag : tag.slice(0, verbEnd)
    reply.rowCount = verbEnd === -1 ? 0 : Number(tag.slice(tag.lastIndexOf(' ') + 1))
    const step = this.#steps[this.stepIndex]
    if (step && this.#prepared && !this.#prepared.get(step.sql)) {
      this.#prepared.add(step.sql, { name: statementName(step.sql), columns: reply.columns ?? [] })
    }
    this.stepIndex++
  }

  handleEmptyQuery(): void {
    this.stepIndex++
  }

  handleReadyForQuery(): void {
    if (this.#parseError) this.#reject(this.#parseError)
    else this.#resolve(this.#replies)
  }

  handleError(error: DatabaseError | Error): void {
    this.#reject(error)
  }

  handlePortalSuspended(): void {}

  handleCopyInResponse(connection: Connection): void {
    const wire = connection as unknown as { sendCopyFail(message: string): void }
    wire.sendCopyFail('COPY is not part of this protocol')
  }
}
