import { type Loop, repeatEvery } from '#server/app/repeat-every.ts'
import type { Services } from '#server/app/services.ts'
import { sweepMedia } from '#server/rooms/media/sweep.ts'

const INTERVAL_MS = 10 * 60 * 1_000
/** Limits one round, however many rows there are. */
const MAX_TURNS = 100

type Swept = Pick<Services, 'pools' | 'media' | 'log'>

/** Deletes expired rows and orphaned files every ten minutes; safe in every process. */
export function createSweeper(services: Swept): Loop {
  const options = { intervalMs: INTERVAL_MS, log: services.log, failureMessage: 'sweeping failed' }
  return repeatEvery(options, async stopping => {
    await sweep(services, () => stopping.aborted)
    return undefined
  })
}

/** Runs one round over everything. Logs a failure and continues with the rest. */
export async function sweep(services: Swept, isStopped: () => boolean = () => false): Promise<void> {
  const { system } = services.pools
  const sweeps: Readonly<Record<string, () => Promise<unknown>>> = {
    'rate limits': () => repeat(() => system.sweep('rateLimits'), isStopped),
    'held places': () => system.sweep('heldPlaces'),
    'connect flows': () => repeat(() => system.sweep('oauthStates'), isStopped),
    'media files': () => sweepMedia(services),
    webhooks: () => repeat(() => system.sweep('webhooks'), isStopped),
    'sign-ins': () => repeat(() => system.sweep('signIns'), isStopped),
    'finished erasures': () => repeat(() => system.sweep('erasures'), isStopped),
    'message deltas': () => repeat(() => system.sweep('messageDeltas'), isStopped),
  }
  for (const [swept, run] of Object.entries(sweeps)) {
    if (isStopped()) return
    await run().catch(error => services.log.warn({ err: error, swept }, 'sweeping failed'))
  }
}

async function repeat(takeBatch: () => Promise<number>, isStopped: () => boolean): Promise<void> {
  for (let turn = 0; turn < MAX_TURNS && !isStopped(); turn++) if ((await takeBatch()) === 0) return
}
