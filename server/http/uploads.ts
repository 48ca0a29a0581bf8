import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** Paths whose requests may be of any size, and take their time. */
export const UPLOAD_PREFIX = '/media/uploads/'

const uploading = new WeakSet<Duplex>()

/** Notes that an upload is on this connection, until it is answered: Node knows one time limit for requests of all kinds. */
export function noteUpload({ socket }: IncomingMessage, res: ServerResponse): void {
  uploading.add(socket)
  res.once('close', () => uploading.delete(socket))
}

// As long as a sender at a usual pace takes to notice the answer.
const DISCARD_MS = 5_000

/**
 * Reads the rest of a refused body and throws it away, for a few seconds, so that its sender is there to read the answer; then
 * closes the connection.
 */
export function discardRest(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return
  const { socket } = req
  const timer = setTimeout(() => socket.destroy(), DISCARD_MS)
  for (const end of ['end', 'close']) req.once(end, () => clearTimeout(timer))
  req.resume()
}

export function isUpload({ method, url }: IncomingMessage): boolean {
  return method === 'PUT' && url?.startsWith(UPLOAD_PREFIX) === true
}

interface ClientError extends Error {
  readonly code?: string
}

/**
 * Answers what is no request, or one that does not come to its end in time. An upload goes on past that time, since its route has
 * limits of its own.
 */
export function answerClientError(error: ClientError, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && uploading.has(socket)) return
  const status = STATUS_BY_CODE[error.code ?? ''] ?? '400 Bad Request'
  const body = JSON.stringify({ code: 'BAD_REQUEST', message: 'the request is malformed' })
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n${body}`,
    )
  }
  socket.destroy(error)
}

const STATUS_BY_CODE: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
}
