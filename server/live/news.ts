import { type Pseudonym, type Topic, toPayloads } from './topics.ts'

/** News for the other processes: collected, deduplicated, and sent at most once in an interval. */
export interface News {
  announce(topic: Topic): void
  /** Sends what is left. */
  close(): Promise<void>
}

export interface NewsOptions {
  readonly sender: string
  readonly pseudonymOf: Pseudonym
  /** Makes one statement of the payloads. */
  readonly notify: (payloads: readonly string[]) => Promise<void>
  readonly onFailure: (error: unknown) => void
  readonly intervalMs?: number
}

/**
 * Notifying takes a lock that all notifying commits share, so that it must not be a part of anybody's transaction: one statement
 * of our own speaks for all commits of an interval. News that can't be sent is dropped: readers poll as well.
 */
export function createNews({ sender, pseudonymOf, notify, onFailure, intervalMs = 20 }: NewsOptions): News {
  const waiting = new Set<Topic>()
  let sending: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let lastSentAt = Number.NEGATIVE_INFINITY

  function schedule(): void {
    if (timer || sending) return
    const delayMs = Math.max(0, lastSentAt + intervalMs - performance.now())
    timer = setTimeout(() => void send(), delayMs).unref()
  }

  async function send(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (sending || waiting.size === 0) return sending
    const payloads = toPayloads(sender, Array.from(waiting, pseudonymOf))
    waiting.clear()
    lastSentAt = performance.now()
    sending = notify(payloads).catch(onFailure)
    await sending
    sending = undefined
    if (waiting.size > 0) schedule()
  }

  return {
    announce(topic) {
      waiting.add(topic)
      schedule()
    },
    async close() {
      await sending
      await send()
    },
  }
}
