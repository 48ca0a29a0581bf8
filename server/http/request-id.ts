import { randomBytes } from 'node:crypto'

const SANE_ID = /^[\w.-]{1,64}$/

const processPart = randomBytes(6).toString('hex')
let count = 0

/** The caller's own id when it is short and harmless in a log, else a new one: unique over processes, not secret. */
export function requestId(given: string | string[] | undefined): string {
  if (typeof given === 'string' && SANE_ID.test(given)) return given
  count++
  return `${processPart}-${count.toString(36)}`
}
