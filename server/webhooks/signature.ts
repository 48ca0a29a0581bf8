import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * Returns whether these parts of a request have this HMAC-SHA256, in 64 hex digits. False if it is missing.
 */
export function isSignedWith(
  secret: string,
  parts: readonly (string | Buffer)[],
  signature: string | undefined,
): boolean {
  if (signature === undefined || !/^[0-9a-f]{64}$/.test(signature)) return false
  const mac = createHmac('sha256', secret)
  for (const part of parts) mac.update(part)
  return timingSafeEqual(mac.digest(), Buffer.from(signature, 'hex'))
}
