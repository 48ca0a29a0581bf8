// RFC 6238 as authenticator apps implement it: SHA-1, six digits, steps of 30 seconds. The library also
// checks codes, but does not return the step of a code, which is needed to spend it.

import { createHmac, timingSafeEqual } from 'node:crypto'

const STEP_MS = 30_000

/** The step of a time. */
export function totpStep(atMs: number): number {
  return Math.floor(atMs / STEP_MS)
}

/** The code of a step; the key is the secret's UTF-8 bytes. */
export function totpCode(secret: string, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const digest = createHmac('sha1', secret).update(counter).digest()
  const offset = (digest.at(-1) ?? 0) & 15
  const number = digest.readUInt32BE(offset) & 0x7fff_ffff
  return String(number % 1_000_000).padStart(6, '0')
}

/** The step of this code: the current one or one of its neighbours, newest first. Null for any other code. */
export function findTotpStep(secret: string, code: string, atMs: number): number | null {
  const given = Buffer.from(code, 'utf8')
  const now = totpStep(atMs)
  let found: number | null = null
  for (const step of [now - 1, now, now + 1]) {
    const expected = Buffer.from(totpCode(secret, step), 'utf8')
    if (given.length === expected.length && timingSafeEqual(given, expected)) found = step
  }
  return found
}
