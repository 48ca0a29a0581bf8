import type { IncomingMessage } from 'node:http'
import { AppError } from '#server/rpc/errors.ts'
import { decodeBody } from './utf8.ts'

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

/** Whether the media type is JSON, whatever its letter case and parameters. */
export function isJson(contentType: string): boolean {
  if (contentType === 'application/json') return true
  const semicolon = contentType.indexOf(';')
  const mediaType = semicolon === -1 ? contentType : contentType.slice(0, semicolon)
  return mediaType.trim().toLowerCase() === 'application/json'
}

/** Reads a body as text. Rejects with `too_large` past the limit, and with `invalid_input` for invalid UTF-8. */
export async function readBody(req: IncomingMessage, maxBytes = MAX_BODY_BYTES): Promise<string> {
  return decodeBody(await readBytes(req, maxBytes))
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
