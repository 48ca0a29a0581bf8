import type { IncomingMessage } from 'node:http'
import { MAX_BODY_BYTES, readBytes } from '#server/http/body.ts'
import { overloaded } from '#server/http/load.ts'

/**
 * What large bodies may take together: until they are read to their end, no signature says whose they are.
 */
const MAX_LARGE_BYTES = 100 * 1024 * 1024

/** How much is held of bodies that are being read, beyond the limit of other requests. */
let largeBytes = 0

/**
 * Reads a webhook's body as it came. Rejects with `too_large` past the limit, and with `overloaded` while
 * large bodies fill the memory that they may have.
 */
export async function readWebhookBody(req: IncomingMessage, maxBytes = MAX_BODY_BYTES): Promise<Buffer> {
  let heldBytes = 0
  const admit = (sizeBytes: number) => {
    const excess = Math.max(0, sizeBytes - MAX_BODY_BYTES)
    if (largeBytes - heldBytes + excess > MAX_LARGE_BYTES) throw overloaded()
    largeBytes += excess - heldBytes
    heldBytes = excess
  }
  try {
    return await readBytes(req, maxBytes, admit)
  } finally {
    largeBytes -= heldBytes
  }
}
