import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'

interface WebRequestParts {
  readonly appUrl: string
  readonly body: Uint8Array<ArrayBuffer> | undefined
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal
}

/**
 * A web Request of what Node received. Its host is the configured one: the Host header is the caller's to choose, and
 * links in mails are made from it.
 */
export function toWebRequest(req: IncomingMessage, { appUrl, body, signal }: WebRequestParts): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(req.headers)) {
    if (Array.isArray(value)) for (const one of value) headers.append(name, one)
    else if (value !== undefined) headers.append(name, value)
  }
  const { origin } = new URL(appUrl)
  return new Request(`${origin}${req.url}`, { method: req.method, headers, body, signal })
}

/** Sends a web Response; cookies stay one header each. Which pages may read it is not the library's to say. */
export async function sendWebResponse(reply: FastifyReply, response: Response): Promise<FastifyReply> {
  reply.code(response.status)
  for (const [name, value] of response.headers) {
    if (name !== 'set-cookie' && !name.startsWith('access-control-')) reply.header(name, value)
  }
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) reply.header('set-cookie', cookies)
  return reply.send(response.body === null ? undefined : Buffer.from(await response.arrayBuffer()))
}
