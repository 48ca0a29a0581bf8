import { getTRPCErrorShape, type TRPCError } from '@trpc/server'
import type { Services } from '#server/app/services.ts'
import { type HeadersLike, headersOf } from '#server/http/request-headers.ts'
import { type ContextInput, callerContext } from './context.ts'
import { type AppRouter, appRouter } from './router.ts'
import { createCallerFactory } from './trpc.ts'

const callerOf = createCallerFactory(appRouter)

export type Caller = ReturnType<AppRouter['createCaller']>

export interface CallerInput extends Omit<ContextInput, 'headers'> {
  readonly headers: HeadersLike
  /** Given the session's cookie again, as a `set-cookie` value, where a call prolongs the session. */
  readonly onSetCookie?: ((value: string) => void) | undefined
}

/**
 * Calls the router in this process, for Next.js handlers, scripts and tests: the same procedures, under the credential in
 * `input.headers`. Expected failures are thrown as TRPCError, with an AppError as their cause.
 */
export function createCaller(services: Services, input: CallerInput): Caller {
  const context = callerContext(services, { ...input, headers: headersOf(input.headers) })
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

/** What a call's error looks like to its caller over HTTP. */
export function errorShape(error: TRPCError, path?: string) {
  const config = appRouter._def._config
  return getTRPCErrorShape({ config, error, path, type: 'unknown', input: undefined, ctx: undefined })
}
