import type { Services } from '#server/app/services.ts'

const BATCH = 100
const CLAIM_SECONDS = 5 * 60

/**
 * Fails uploads that nobody completed, and removes files that nothing owns any more: those of failed items and of users who are
 * gone. Any process may; one that does not come to an end has its files removed by the next. Safe to repeat.
 */
export async function sweepMedia({
  pools,
  media,
  log,
}: Pick<Services, 'pools' | 'media' | 'log'>): Promise<void> {
  const { system } = pools
  await system.sweepMedia()
  for (;;) {
    const keys = await system.claimFileRemovals(BATCH, CLAIM_SECONDS)
    const outcomes = await Promise.allSettled(keys.map(key => media.remove(key)))
    const failed = outcomes.find(outcome => outcome.status === 'rejected')
    if (failed) log.warn({ err: failed.reason }, 'deleting a media file failed')
    const removed = keys.filter((_key, index) => outcomes[index]?.status === 'fulfilled')
    if (removed.length > 0) await system.finishFileRemovals(removed)
    if (keys.length < BATCH) break
  }
  await media.removeDrafts()
}
