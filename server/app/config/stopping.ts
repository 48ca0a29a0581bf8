import { type ConfigReader, wholeNumber } from './reader.ts'

const MAX_SECONDS = 300
/** Balancers ask for readiness every few seconds; nobody waits long at a terminal. */
const PRODUCTION_MS = 5_000
const ELSEWHERE_MS = 500

/** How long a server that is asked to stop goes on accepting connections. */
export function readDrainGrace(reader: ConfigReader, environment: string): number {
  const seconds = reader.read('DRAIN_GRACE_SECONDS', {
    schema: wholeNumber(0, MAX_SECONDS),
    must: `a whole number of seconds from 0 to ${MAX_SECONDS}`,
    example: '10',
  })
  if (seconds !== undefined) return seconds * 1_000
  return environment === 'production' ? PRODUCTION_MS : ELSEWHERE_MS
}
