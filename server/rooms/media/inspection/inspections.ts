import { availableParallelism } from 'node:os'
import { createFairQueue, type QueueLimits } from './fair-queue.ts'
import { Inspector, type InspectorFile } from './inspector.ts'
import { DEFAULT_LIMITS, type Inspection, type InspectionLimits } from './protocol.ts'

// Each process may hold a whole image in memory.
const AT_ONCE = { least: 2, most: 4 }
const MAX_WAITING = 128
const MAX_WAIT_MS = 30_000
/** An idle process ends after this time. */
const IDLE_MS = 10_000
/** Ending the process frees memory that a library leaks. */
const MAX_FILES = 50

export interface InspectionsOptions {
  readonly limits?: Partial<InspectionLimits>
  readonly queue?: Partial<QueueLimits>
}

/** The file's owner, and the callbacks of its turn. */
export interface InspectionTurn {
  readonly userId: string
  /** Aborted when the caller leaves, which stops the inspection. */
  readonly signal?: AbortSignal | undefined
  /** Called when the file's turn comes. */
  readonly onBegin: () => Promise<unknown>
}

/** Inspects uploaded files in child processes. */
export interface Inspections {
  /**
   * Inspects a file. Throws `overloaded` if the queue is full or the file's turn does not come in time, and
   * the errors of {@link Inspector.inspect}.
   */
  inspect(file: InspectorFile, turn: InspectionTurn): Promise<Inspection>
  /** Kills the processes and their inspections. */
  close(): void
}

interface Idle {
  readonly inspector: Inspector
  readonly filesLeft: number
  readonly timer: NodeJS.Timeout
}

/** Starts the first process with the first file. */
export function createInspections({ limits, queue }: InspectionsOptions = {}): Inspections {
  const run = createFairQueue({
    atOnce: Math.min(AT_ONCE.most, Math.max(AT_ONCE.least, availableParallelism() - 1)),
    maxWaiting: MAX_WAITING,
    maxWaitMs: MAX_WAIT_MS,
    ...queue,
  })
  const all = new Set<Inspector>()
  const idle: Idle[] = []

  function end(inspector: Inspector): void {
    all.delete(inspector)
    inspector.kill()
  }

  function take(): { inspector: Inspector; filesLeft: number } {
    for (;;) {
      const last = idle.pop()
      if (!last) break
      clearTimeout(last.timer)
      if (last.inspector.isAlive) return last
      end(last.inspector)
    }
    const inspector = new Inspector({ ...DEFAULT_LIMITS, ...limits })
    all.add(inspector)
    return { inspector, filesLeft: MAX_FILES }
  }

  function giveBack(inspector: Inspector, filesLeft: number): void {
    if (!inspector.isAlive || filesLeft === 0) {
      end(inspector)
      return
    }
    const timer = setTimeout(() => {
      idle.splice(idle.indexOf(entry), 1)
      end(inspector)
    }, IDLE_MS).unref()
    const entry: Idle = { inspector, filesLeft, timer }
    idle.push(entry)
  }

  return {
    inspect: (file, { userId, signal, onBegin }) =>
      run({
        userId,
        signal,
        work: async () => {
          await onBegin()
          const { inspector, filesLeft } = take()
          try {
            return await inspector.inspect(file, signal)
          } finally {
            giveBack(inspector, filesLeft - 1)
          }
        },
      }),
    close() {
      for (const { timer } of idle.splice(0)) clearTimeout(timer)
      for (const inspector of all) end(inspector)
    },
  }
}
