import type { IncomingMessage } from 'node:http'
import { MAX_BODY_BYTES, readBytes } from '#server/http/body.ts'
import { overloaded } from '#server/http/load.ts'

/** The memory for all large bodies together: until a body is complete, its signature can't be checked. */
const MAX_LARGE_BYTES = 100 * 1024 * 1024

/** The bytes of unfinished bodies beyond the limit of other requests. */
let largeBytes = 0

/**
 * Reads a webhook's raw body. Rejects with `too_large` past the limit, and with `overloaded` if other large
 * bodies use up their memory.
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
