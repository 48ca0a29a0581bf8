// Next.js route handlers and server components call the router in their own process: no request to oneself, and the same
// procedures under the visitor's own credential.
import { type Caller, createCaller as createCallerOf, headersOf } from '#server/caller.ts'
import { processServices } from '#server/process-services.ts'
import type { Services } from '#server/services.ts'

export interface CallerOptions {
  /** What the procedures work with; by default what this process opened from its environment. */
  readonly services?: Services
  /** Given the session's cookie again, as a `set-cookie` value, where a call prolonged the session. */
  readonly onSetCookie?: (value: string) => void
}

type RequestLike = Pick<Request, 'headers' | 'signal'>
type HeadersLike = Pick<Headers, 'get'>

/**
 * Calls procedures as whoever sent `request`: `createCaller(request)` in a route handler, `createCaller(await headers())` in a
 * server component. Expected failures are thrown as TRPCError, with an AppError, which has the reason, as their cause. A request
 * that is aborted cancels its statements.
 */
export function createCaller(request: RequestLike | HeadersLike, options: CallerOptions = {}): Caller {
  const isRequest = 'headers' in request
  return createCallerOf(options.services ?? processServices(), {
    headers: headersOf(isRequest ? request.headers : request),
    signal: isRequest ? request.signal : undefined,
    onSetCookie: options.onSetCookie,
  })
}

export type { Caller }
