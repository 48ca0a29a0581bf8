// Runs one task in a worker: the handler works under the lease, and the task's end is reported to the server
// once.
import type { ConnectionOptions } from './connection.ts'
import { isRowhouseError } from './errors.ts'
import { createClient, type Inputs, type Outputs, type RowhouseClient } from './index.ts'
import { type Claim, isLeaseLost, keepLease } from './lease.ts'
import { type LogType, openLog } from './log-writer.ts'
import { type MessageWriter, openMessage, type TaskMessage } from './message-writer.ts'
import { openProgress } from './progress.ts'
import { cleanText } from './pump.ts'
import { type Attempt, persist } from './retries.ts'

export type Task = Claim['task']
export type TaskSecrets = Outputs['tasks']['secrets']

export interface TaskContext {
  readonly task: Task
  /** Acts as the task's owner, but only on this task, until the lease is over. */
  readonly client: RowhouseClient
  /** Aborted when the handler must stop; its reason says why. */
  readonly signal: AbortSignal
  /** Adds a line to the task's log. Lines are sent in batches; awaiting it limits a fast handler. */
  log(type: LogType, message: string): Promise<void>
  /** Sets the task's progress, from 0 to 100. If values come quickly, only the last one is sent. */
  progress(percent: number): void
  /**
   * The keys and connectors that the task names. Refused with `missing_scope` if the worker's token lacks
   * `keys:reveal`. Their secret values are removed from the error of a failing task; the handler must keep
   * them out of logs and messages.
   */
  secrets(): Promise<TaskSecrets>
  /** Starts an agent's message, which readers see grow with every `write`. */
  message(): MessageWriter
}

/**
 * Works on a task. Its return value, as JSON, becomes the task's result; the message of an error that it
 * throws becomes the task's error.
 */
export type Handler = (context: TaskContext) => unknown

export interface RunOptions {
  readonly connection: Pick<ConnectionOptions, 'url' | 'token' | 'fetch'>
  readonly handler: Handler
  readonly claim: Claim
  readonly leaseSeconds: number
  readonly claimedAtMs: number
  /** Aborted when the worker's drain time is over. */
  readonly cutOff: AbortSignal
  readonly onError: (error: unknown, task: Task) => void
}

/** How long a handler may take to return after `cutOff`. */
const CUT_OFF_GRACE_MS = 2_000
const MAX_ERROR = 10_000

/** Resolves when this worker is done with the task, whether it succeeded or not; failures go to `onError`. */
export async function runTask(options: RunOptions): Promise<void> {
  const { claim, cutOff, onError } = options
  const { task, lease: token } = claim
  const client = createClient({ url: options.connection.url, token, fetch: options.connection.fetch })
  const lease = keepLease({ ...options, client })
  const signal = AbortSignal.any([lease.lost, lease.closing, cutOff])
  const writer = { client, task, signal: lease.lost }
  const log = openLog(writer)
  const progress = openProgress(writer)
  const messages: TaskMessage[] = []
  const given = new Set([options.connection.token, token].filter(secret => typeof secret === 'string'))

  const context: TaskContext = {
    task,
    client,
    signal,
    log: log.write,
    progress: progress.set,
    secrets: async () => {
      const secrets = await persist(lease.lost, ({ signal }) =>
        client.tasks.secrets.mutate(undefined, { signal }),
      )
      for (const value of valuesOf(secrets)) given.add(value)
      return secrets
    },
    message: () => {
      const message = openMessage(writer)
      messages.push(message)
      return message
    },
  }

  async function work(): Promise<void> {
    let result: Result
    try {
      result = asJson(await options.handler(context))
      await Promise.all([log.settle(), progress.settle(), ...messages.map(message => message.finish())])
    } catch (error) {
      if (lease.lost.aborted || isLeaseLost(error)) throw lease.lost.aborted ? lease.lost.reason : error
      if (cutOff.aborted) throw new Error('the worker stopped before the task was done', { cause: error })
      onError(error, task)
      await fail(signal.aborted ? signal.reason : error)
      return
    }
    try {
      await settle(attempt => client.tasks.complete.mutate({ result }, attempt))
    } catch (error) {
      if (!isRefusal(error)) throw error
      onError(error, task)
      await fail(error)
    }
  }

  async function fail(error: unknown): Promise<void> {
    // Lines written before the failure explain it.
    await Promise.allSettled([log.settle(), progress.settle(), ...messages.map(message => message.settle())])
    await settle(attempt => client.tasks.fail.mutate({ error: publicMessage(error, given) }, attempt))
  }

  /**
   * Ends the task. An earlier attempt whose answer was lost may have ended the task and its lease: that is
   * not a failure.
   */
  async function settle(end: (attempt: { signal: AbortSignal }) => Promise<unknown>): Promise<void> {
    lease.settle()
    await persist(lease.lost, async ({ signal, number }: Attempt) => {
      try {
        await end({ signal })
      } catch (error) {
        if (number === 1 || !isLeaseLost(error)) throw error
      }
    })
  }

  const abandoned = abandonment(cutOff)
  try {
    await Promise.race([work(), abandoned.promise])
  } catch (error) {
    onError(error, task)
  } finally {
    abandoned.cancel()
    lease.release()
  }
}

/** Rejects if a handler continues after `cutOff` and its grace. */
function abandonment(cutOff: AbortSignal): { promise: Promise<never>; cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined
  let start = () => {}
  const promise = new Promise<never>((_, reject) => {
    start = () => {
      const error = new Error('the worker stopped, but the handler did not return')
      timer = setTimeout(() => reject(error), CUT_OFF_GRACE_MS)
    }
  })
  if (cutOff.aborted) start()
  else cutOff.addEventListener('abort', start)
  return {
    promise,
    cancel() {
      cutOff.removeEventListener('abort', start)
      clearTimeout(timer)
    },
  }
}

/** True if the server refused the value itself. */
function isRefusal(error: unknown): boolean {
  return isRowhouseError(error) && (error.reason === 'invalid_input' || error.reason === 'too_large')
}

type Result = Extract<Inputs['tasks']['complete'], object>['result']

/** The value after a round trip through JSON; undefined for nothing. Throws if JSON can't represent it. */
function asJson(value: unknown): Result {
  const text: string | undefined = JSON.stringify(value)
  return text === undefined ? undefined : JSON.parse(text)
}

const SECRETS = /rh[tl]_[\w-]{20,}/g
const STACK_LINES = /^\s+at .*(\n|$)/gm

/** Shorter values may occur in a sentence by chance. */
const MIN_SECRET = 8

/** The secret values among a worker's secrets, also without a prefix such as "Bearer". */
function* valuesOf({ keys, connectors }: TaskSecrets): Generator<string> {
  for (const { value } of keys) if (value !== null) yield value
  for (const { env, headers, oauthClientSecret } of connectors) {
    for (const value of [...Object.values(env), ...Object.values(headers), oauthClientSecret ?? '']) {
      yield value
      yield* value.split(/\s+/)
    }
  }
}

/** An error message that the task's owner may read: no stack, and none of the worker's secrets. */
function publicMessage(error: unknown, given: ReadonlySet<string>): string {
  let message = error instanceof Error ? error.message : typeof error === 'string' ? error : ''
  // The longest first: replacing a part of it first would leave the rest.
  for (const secret of [...given].sort((a, b) => b.length - a.length)) {
    if (secret.length >= MIN_SECRET) message = message.replaceAll(secret, '[secret]')
  }
  message = cleanText(message.replace(SECRETS, '[secret]').replace(STACK_LINES, '')).slice(0, MAX_ERROR)
  message = message.toWellFormed().trim()
  return message === '' ? 'the task failed without an error message' : message
}
