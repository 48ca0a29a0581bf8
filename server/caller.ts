import { type ContextInput, callerContext } from './context.ts'
import { type AppRouter, appRouter } from './router.ts'
import type { Services } from './services.ts'
import { createCallerFactory } from './trpc.ts'

const callerOf = createCallerFactory(appRouter)

export type Caller = ReturnType<AppRouter['createCaller']>

export interface CallerInput extends ContextInput {
  /** Given the session's cookie again, as a `set-cookie` value, where a call prolongs the session. */
  readonly onSetCookie?: ((value: string) => void) | undefined
}

/**
 * Calls the router in this process, for Next.js handlers, scripts and tests: the same procedures, under the credential in
 * `input.headers`. Expected failures are thrown as TRPCError, with an AppError as their cause.
 */
export function createCaller(services: Services, input: CallerInput): Caller {
  const context = callerContext(services, input)
  const { onSetCookie } = input
  if (onSetCookie) {
    const { noteTouchDue } = context
    context.noteTouchDue = isSlideDue => {
      noteTouchDue(isSlideDue)
      const cookie = context.takeResponseHeaders()?.['set-cookie']
      if (cookie !== undefined) onSetCookie(cookie)
    }
  }
  return callerOf(context)
}

/** The headers of a web Request, a Fetch API Headers object or Next's `headers()`, as {@link createCaller} takes them. */
export function headersOf(headers: Pick<Headers, 'get'>): ContextInput['headers'] {
  return {
    authorization: headers.get('authorization') ?? undefined,
    cookie: headers.get('cookie') ?? undefined,
    'x-organization-id': headers.get('x-organization-id') ?? undefined,
  }
}
