import type { IncomingHttpHeaders } from 'node:http'
import type { Exchange } from './exchange.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

/** What a context is made of; nothing is looked up to make one. */
export interface ContextInput {
  method: string
  headers: IncomingHttpHeaders
  ipAddress: string | undefined
  requestId: string
  /** Aborted when the caller leaves before the answer was given. */
  signal: AbortSignal
  /** Runs work that waits elsewhere, which takes no capacity from other calls meanwhile. */
  aside: <T>(work: () => Promise<T>) => Promise<T>
}

/** What the HTTP surface asks of a context, besides handing it to procedures. */
export interface HttpContext {
  /** Headers that the procedures left for the answer, such as a prolonged session's cookie. */
  takeResponseHeaders?: () => Readonly<Record<string, string | readonly string[]>> | undefined
  /** Called once when the answer is on its way, for work that nobody waits for. */
  afterAnswer?: () => void | Promise<void>
}

export type CreateHttpContext = (input: ContextInput) => HttpContext

export function contextInputOf(
  { req, requestId }: Exchange,
  { clientAddress }: TrpcHandlerOptions,
  { signal, aside }: Pick<ContextInput, 'signal' | 'aside'>,
): ContextInput {
  const { method = 'GET', headers } = req
  return { method, headers, ipAddress: clientAddress(req), requestId, signal, aside }
}
