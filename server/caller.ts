import { type ContextInput, callerContext } from './context.ts'
import { appRouter } from './router.ts'
import type { Services } from './services.ts'
import { createCallerFactory } from './trpc.ts'

const callerOf = createCallerFactory(appRouter)

export type Caller = ReturnType<typeof callerOf>

/**
 * Calls the router in this process, for Next.js handlers, scripts and tests: the same procedures, under the credential in
 * `input.headers`. Expected failures are thrown as TRPCError, with an AppError as their cause.
 */
export function createCaller(services: Services, input: ContextInput): Caller {
  return callerOf(callerContext(services, input))
}

/** The headers of a web Request, a Fetch API Headers object or Next's `headers()`, as {@link createCaller} takes them. */
export function headersOf(headers: Headers): ContextInput['headers'] {
  return {
    authorization: headers.get('authorization') ?? undefined,
    cookie: headers.get('cookie') ?? undefined,
    'x-organization-id': headers.get('x-organization-id') ?? undefined,
  }
}
