import type { Inputs, RowhouseClient } from './index.ts'
import { cleanText, createPump, cutAt } from './pump.ts'
import { persist } from './retries.ts'

type Entry = Inputs['tasks']['logs']['append']['entries'][number]
export type LogType = Entry['type']

export interface LogWriter {
  /** Resolves once the buffer has room, possibly before the line is written. */
  write(type: LogType, message: string): Promise<void>
  /** Writes the remaining lines. Throws the error of a failed write. */
  settle(): Promise<void>
}

export interface WriterOptions {
  /** The client with the lease as its credential. */
  readonly client: RowhouseClient
  readonly task: { readonly id: string; readonly lastLogSeq: number }
  /** Aborted when the lease is over. */
  readonly signal: AbortSignal
}

const DELAY_MS = 50
const MAX_ENTRIES = 500
const MAX_MESSAGE = 64 * 1024
/** A character takes at most six bytes of a request, which is limited to 1 MiB. */
const MAX_BATCH_CHARACTERS = 150_000
const CAPACITY = 2 * MAX_ENTRIES

/** Writes lines to a task's log in order and in batches, each line once. */
export function openLog({ client, task, signal }: WriterOptions): LogWriter {
  const entries: Entry[] = []
  let lastSeq = task.lastLogSeq

  async function send(): Promise<void> {
    const batch = entries.slice(0, batchSize(entries))
    const appended = await persist(signal, async attempt => {
      // After an attempt without an answer, the log itself shows whether it was written.
      const found = attempt.number > 1 ? await find(batch, attempt.signal) : undefined
      if (found !== undefined) return { lastSeq: found }
      return client.tasks.logs.append.mutate({ taskId: task.id, entries: batch }, { signal: attempt.signal })
    })
    lastSeq = appended.lastSeq
    entries.splice(0, batch.length)
  }

  /** Finds these entries right after the last known one; returns the last number. */
  async function find(batch: readonly Entry[], attempt: AbortSignal): Promise<number | undefined> {
    const written: (Entry & { seq: number })[] = []
    const limit = 1_000
    for (let after = lastSeq; ; after += limit) {
      const page = await client.tasks.logs.list.query({ taskId: task.id, after, limit }, { signal: attempt })
      written.push(...page.items)
      if (page.items.length < limit) break
    }
    const start = written.findIndex((_, i) => batch.every((entry, j) => isSame(entry, written[i + j])))
    return start === -1 ? undefined : written[start + batch.length - 1]?.seq
  }

  const pump = createPump({ delayMs: DELAY_MS, send, backlog: () => entries.length, capacity: CAPACITY })
  return {
    write(type, message) {
      entries.push(...lines(type, cleanText(message)))
      pump.poke()
      return pump.room()
    },
    settle: () => pump.settle(),
  }
}

function isSame(left: Entry, right: Entry | undefined): boolean {
  return left.type === right?.type && left.message === right.message
}

function* lines(type: LogType, message: string): Generator<Entry> {
  let rest = message
  do {
    const end = cutAt(rest, MAX_MESSAGE)
    yield { type, message: rest.slice(0, end) }
    rest = rest.slice(end)
  } while (rest !== '')
}

function batchSize(entries: readonly Entry[]): number {
  let characters = 0
  const tooMany = entries.findIndex((entry, i) => {
    characters += entry.message.length
    return i > 0 && (i === MAX_ENTRIES || characters > MAX_BATCH_CHARACTERS)
  })
  return tooMany === -1 ? entries.length : tooMany
}
