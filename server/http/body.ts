import type { IncomingMessage } from 'node:http'
import { AppError } from '#server/errors.ts'

export const MAX_BODY_BYTES = 1024 * 1024

// A body somewhat over the limit is read to its end and thrown away, so that its sender is there to read the answer.
const DISCARD_LIMIT_BYTES = 8 * MAX_BODY_BYTES

/** A request that ended before its body did; there is nobody to answer. */
export class RequestAbortedError extends Error {
  constructor() {
    super('the request ended before its body did')
    this.name = 'RequestAbortedError'
  }
}

export function tooLarge(maxBytes = MAX_BODY_BYTES): AppError {
  return new AppError('too_large', `the request body is larger than ${maxBytes} bytes`)
}

/** Reads a body as UTF-8 text without its byte order mark. Rejects with `too_large` past the limit. */
export async function readBody(req: IncomingMessage, maxBytes = MAX_BODY_BYTES): Promise<string> {
  return toText(await readBytes(req, maxBytes))
}

/**
 * Reads a body as it came. Rejects with `too_large` past the limit, and with what `admit` throws, which is asked about the size
 * so far before more is kept.
 */
export function readBytes(
  req: IncomingMessage,
  maxBytes: number,
  admit?: (sizeBytes: number) => void,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let sizeBytes = 0
    let first: Buffer | undefined
    let rest: Buffer[] | undefined
    const settle = () => {
      req.off('data', onData)
      req.off('end', onEnd)
      req.off('close', onClose)
    }
    const onData = (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) {
        first = undefined
        rest = undefined
        if (sizeBytes <= DISCARD_LIMIT_BYTES) return
        settle()
        req.pause()
        reject(tooLarge(maxBytes))
        return
      }
      try {
        admit?.(sizeBytes)
      } catch (error) {
        settle()
        req.resume()
        return reject(error)
      }
      if (first === undefined) {
        first = chunk
      } else {
        rest ??= [first]
        rest.push(chunk)
      }
    }
    const onEnd = () => {
      settle()
      if (sizeBytes > maxBytes) reject(tooLarge(maxBytes))
      else resolve(rest === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(rest))
    }
    const onClose = () => {
      settle()
      reject(new RequestAbortedError())
    }
    req.on('data', onData)
    req.on('end', onEnd)
    req.on('close', onClose)
  })
}

function toText(bytes: Buffer): string {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return bytes.toString('utf8', hasMark ? 3 : 0)
}
