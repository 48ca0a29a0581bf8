// Runs in a separate thread: see password-hashing.ts.

import { type ScryptOptions, scryptSync } from 'node:crypto'

export interface DeriveKey {
  readonly password: string
  readonly salt: string
}

// The parameters of Better Auth's stored passwords. A key takes 128 * N * r = 32 MiB.
const KEY_BYTES = 64
const COST: ScryptOptions = { N: 16_384, r: 16, p: 1, maxmem: 64 * 1024 ** 2 }

/** Derives the key of a password, as hexadecimal digits. */
export default function deriveKey({ password, salt }: DeriveKey): string {
  return scryptSync(password.normalize('NFKC'), salt, KEY_BYTES, COST).toString('hex')
}
