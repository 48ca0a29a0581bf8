import type { Services } from '#server/app/services.ts'

const BATCH = 100
const CLAIM_SECONDS = 5 * 60

/**
 * Fails uploads that nobody completed, and deletes files that nothing refers to any more, such as those of
 * failed items and removed users. Idempotent, and safe in every process: another process deletes the files if
 * this one dies.
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
