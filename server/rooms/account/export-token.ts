// The token in an export's URL: the credential that created it and its expiry, encrypted. URLs end up in logs
// and browser histories, so nobody may read a usable secret from one. The download uses that credential, so
// revoking the session revokes the URL, too.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { z } from 'zod'

const PURPOSE = 'rowhouse account.export url'
const IV_BYTES = 12
const TAG_BYTES = 16

const payloadSchema = z.strictObject({ credential: z.string(), expiresAt: z.number() })

export interface ExportGrant {
  readonly credential: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

export function sealExportToken(grant: ExportGrant, secret: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), iv)
  const body = Buffer.concat([cipher.update(JSON.stringify(grant), 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url')
}

/** Returns the grant of a valid token; null for any other text, and after the token's expiry. */
export function openExportToken(token: string, secret: string): ExportGrant | null {
  if (!/^[\w-]{64,512}$/.test(token)) return null
  const bytes = Buffer.from(token, 'base64url')
  const iv = bytes.subarray(0, IV_BYTES)
  const tag = bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES)
  const body = bytes.subarray(IV_BYTES + TAG_BYTES)
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyOf(secret), iv, { authTagLength: TAG_BYTES })
    decipher.setAuthTag(tag)
    const text = Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8')
    const grant = payloadSchema.parse(JSON.parse(text))
    return grant.expiresAt > Date.now() ? grant : null
  } catch {
    // Forged or incomplete: both are answered alike.
    return null
  }
}

function keyOf(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, 32))
}
