// Works on tasks: claims them, calls a handler under the lease of each, and reports their ends to the server.
// Runs in every runtime with `fetch`. A task that a worker can't finish goes to another worker once its lease
// expires.
import type { ConnectionOptions } from './connection.ts'
import { isRowhouseError } from './errors.ts'
import { createClient } from './index.ts'
import type { Claim } from './lease.ts'
import { delayMs, pause } from './retries.ts'
import { type Handler, runTask, type Task, type TaskContext, type TaskSecrets } from './task-run.ts'

export interface WorkOptions extends Pick<ConnectionOptions, 'url' | 'fetch'> {
  /**
   * An API token with `tasks:work`, which claims its owner's tasks, or the operator's worker key, which
   * claims everybody's.
   */
  readonly token: NonNullable<ConnectionOptions['token']>
  readonly handler: Handler
  /** The number of tasks to work on at once; 1 by default. */
  readonly concurrency?: number
  /** The worker's name in the list of leases. */
  readonly worker?: string
  /** How long a lease lasts without a heartbeat, from 10 to 600; 60 by default. */
  readonly leaseSeconds?: number
  /** How long running handlers may continue after the worker stops; 30 seconds by default. */
  readonly drainMs?: number
  /** Aborting it stops the worker. */
  readonly signal?: AbortSignal
  /**
   * True (the default) to stop the worker on SIGTERM and SIGINT, if the runtime has signals. A second signal
   * ends the process.
   */
  readonly stopOnSignals?: boolean
  /** Called with every error and the task that it concerns; by default errors go to the console. */
  readonly onError?: (error: unknown, task?: Task) => void
}

export interface Worker {
  /**
   * Stops claiming, lets running handlers finish for `drainMs`, then aborts their signals; resolves when all
   * are done.
   */
  stop(): Promise<void>
  /** Resolves when the worker has stopped. Rejects if the server refuses its credential or its URL. */
  readonly done: Promise<void>
}

const CLAIM_MS = 30_000
/** A retry can not succeed after these. */
const FINAL = new Set(['unauthenticated', 'missing_scope', 'not_a_member', 'invalid_input', 'not_found'])

export function work(options: WorkOptions): Worker {
  const {
    handler,
    concurrency = 1,
    worker = `worker-${crypto.randomUUID().slice(0, 8)}`,
    leaseSeconds = 60,
    drainMs = 30_000,
    onError = logError,
  } = options
  const connection = { url: options.url, token: options.token, fetch: options.fetch }
  const client = createClient(connection)
  const stopping = new AbortController()
  const cutOff = new AbortController()
  const running = new Set<Promise<void>>()
  const stop = () => stopping.abort()

  async function claim(): Promise<Claim | null> {
    // Waits for a sent claim even if the worker stops: the claimed task would be stuck until its lease
    // expires.
    return client.tasks.claim.mutate({ worker, leaseSeconds }, { signal: AbortSignal.timeout(CLAIM_MS) })
  }

  function start(claimed: Claim, claimedAtMs: number): void {
    const { signal } = cutOff
    const run = runTask({
      connection,
      handler,
      claim: claimed,
      leaseSeconds,
      claimedAtMs,
      cutOff: signal,
      onError,
    })
    running.add(run)
    void run.finally(() => running.delete(run))
  }

  async function claimTasks(): Promise<void> {
    const { signal } = stopping
    const stopped = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
    let idle = 0
    while (!signal.aborted) {
      if (running.size >= concurrency) {
        await Promise.race([...running, stopped])
        continue
      }
      const sentAtMs = performance.now()
      let failure: unknown
      try {
        const claimed = await claim()
        if (claimed) {
          idle = 0
          start(claimed, sentAtMs)
          continue
        }
      } catch (error) {
        if (isRowhouseError(error) && error.reason && FINAL.has(error.reason)) throw error
        onError(error)
        failure = error
      }
      await pause(delayMs(idle++, failure), signal)
    }
  }

  async function run(): Promise<void> {
    const ignoreSignals = options.stopOnSignals === false ? () => {} : onProcessSignals(stop)
    options.signal?.addEventListener('abort', stop)
    if (options.signal?.aborted) stop()
    try {
      await claimTasks()
    } finally {
      const timer = setTimeout(() => cutOff.abort(new Error('the worker is stopping')), drainMs)
      await Promise.all(running)
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', stop)
      ignoreSignals()
    }
  }

  const done = run()
  return {
    done,
    stop() {
      stop()
      return done
    },
  }
}

function onProcessSignals(stop: () => void): () => void {
  // Some runtimes have no process.
  const host = (globalThis as { process?: NodeJS.Process }).process
  if (typeof host?.once !== 'function') return () => {}
  const names = ['SIGTERM', 'SIGINT'] as const
  for (const name of names) host.once(name, stop)
  return () => {
    for (const name of names) host.off(name, stop)
  }
}

function logError(error: unknown, task?: Task): void {
  const message = error instanceof Error ? error.message : String(error)
  console.error(task ? `task ${task.id}: ${message}` : message)
}

export type { LogType } from './log-writer.ts'
export type { MessageWriter } from './message-writer.ts'
export type { Handler, Task, TaskContext, TaskSecrets }
