import type { WriterOptions } from './log-writer.ts'
import { createPump } from './pump.ts'
import { persist } from './retries.ts'

const DELAY_MS = 250

export interface Progress {
  set(percent: number): void
  settle(): Promise<void>
}

/** Writes a task's progress; if values come faster than they are written, only the last one is sent. */
export function openProgress({ client, task, signal }: WriterOptions): Progress {
  let wanted: number | undefined
  async function send(): Promise<void> {
    const progress = wanted
    wanted = undefined
    await persist(signal, attempt =>
      client.tasks.update.mutate({ id: task.id, progress }, { signal: attempt.signal }),
    )
  }
  const pump = createPump({
    delayMs: DELAY_MS,
    send,
    backlog: () => (wanted === undefined ? 0 : 1),
    capacity: 1,
  })
  return {
    set(percent) {
      wanted = Math.round(Math.min(Math.max(percent, 0), 100)) || 0
      pump.poke()
    },
    settle: () => pump.settle(),
  }
}
