// Calls the router in the process of Next.js route handlers and server components: no HTTP request to itself,
// and the same procedures with the visitor's own credential. Next bundles this module but no server code: the
// server, with its native modules, is loaded from node_modules at the first call, once the visitor's headers
// are known.
import { createTRPCRecursiveProxy } from '@trpc/server'
import type { Services } from '#server/app/services.ts'
import { type HeadersLike, headersOf, type RequestLike, signalOf } from '#server/http/request-headers.ts'
import type { Caller } from '#server/rpc/caller.ts'
import type { Reason } from '#server/rpc/errors.ts'

export interface CallerOptions {
  /**
   * The services for the procedures; by default this process creates them from its environment at the first
   * call.
   */
  readonly services?: Services
  /** Called with a `set-cookie` value if a call prolonged the session. */
  readonly onSetCookie?: (value: string) => void
}

/**
 * Calls procedures as the sender of `request`: `createCaller(request)` in a route handler,
 * `createCaller(await headers())` in a server component or action. Aborting the request cancels its
 * statements.
 *
 * Expected failures are thrown as TRPCError, with an AppError, which has the reason, as their cause. Next
 * answers UNAUTHORIZED, FORBIDDEN and NOT_FOUND with 401, 403 and 404, as if its own functions had thrown
 * them; {@link respond} gives every failure its status.
 */
export function createCaller(request: RequestLike | HeadersLike, options: CallerOptions = {}): Caller {
  // Read at once: this tells Next that the answer depends on its visitor, and ends a prerender here.
  const input = { headers: headersOf(request), signal: signalOf(request), onSetCookie: options.onSetCookie }
  let opening: Promise<Opened> | undefined
  async function open(): Promise<Opened> {
    const server = await loadServer()
    const caller = server.createCaller(options.services ?? server.processServices(), input)
    return { caller, errorShape: server.errorShape }
  }
  return createTRPCRecursiveProxy<Caller>(async ({ path, args }) => {
    opening ??= open()
    const { caller, errorShape } = await opening
    const procedure = path.reduce<unknown>((at, name) => Reflect.get(Object(at), name), caller)
    try {
      return await (procedure as (...args: unknown[]) => unknown)(...args)
    } catch (error) {
      if (isCallError(error)) describe(error, errorShape(error, path.join('.')))
      throw error
    }
  })
}

const NOT_COPIED =
  'a part of rowhouse is missing in this app: if the build is copied away from node_modules, add ' +
  "serverExternalPackages: ['rowhouse'] to next.config, and import 'rowhouse/server' in instrumentation.ts"

type Server = typeof import('#server/index.ts')
type CallError = Parameters<Server['errorShape']>[0]
type ErrorShape = ReturnType<Server['errorShape']>
type Opened = { readonly caller: Caller; readonly errorShape: Server['errorShape'] }

async function loadServer(): Promise<Server> {
  try {
    return await import(/* webpackIgnore: true */ '#server/index.ts')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error
    throw new Error(NOT_COPIED, { cause: error })
  }
}

/** Compared by name, because Next bundles another copy of tRPC than the one that throws. */
function isCallError(error: unknown): error is CallError {
  return error instanceof Error && error.name === 'TRPCError'
}

const SHAPE = Symbol.for('rowhouse.errorShape')
/** The statuses for which Next has error pages. */
const NEXT_STATUSES = new Set<unknown>([401, 403, 404])

/**
 * Adds the data for callers, and the mark of the errors that Next's `unauthorized`, `forbidden` and
 * `notFound` throw.
 */
function describe(error: CallError, shape: ErrorShape): void {
  const { httpStatus } = shape.data
  Object.defineProperty(error, SHAPE, { value: shape })
  if (NEXT_STATUSES.has(httpStatus)) {
    Object.defineProperty(error, 'digest', { value: `NEXT_HTTP_ERROR_FALLBACK;${httpStatus}` })
  }
}

function shapeOf(error: unknown): ErrorShape | undefined {
  return error instanceof Error ? (Reflect.get(error, SHAPE) as ErrorShape | undefined) : undefined
}

/**
 * The reason why a call of {@link createCaller} failed, such as `unauthenticated`; undefined for any other
 * error.
 */
export function reasonOf(error: unknown): Reason | undefined {
  return shapeOf(error)?.data.reason
}

/**
 * Answers a route handler's request with the result of `work` as JSON, or with the failure of its call: the
 * status, and `{ error: { message, code, data } }` as over HTTP. Rethrows unexpected errors, which Next logs
 * and answers with 500.
 */
export async function respond(work: () => unknown): Promise<Response> {
  try {
    const result = await work()
    return result instanceof Response ? result : Response.json(result ?? null, { headers: NO_STORE })
  } catch (error) {
    const shape = shapeOf(error)
    if (shape === undefined || shape.data.httpStatus === 500) throw error
    const { httpStatus: status, retryAt } = shape.data
    const headers = new Headers(NO_STORE)
    if (retryAt)
      headers.set('retry-after', String(Math.max(1, Math.ceil((retryAt.getTime() - Date.now()) / 1000))))
    return Response.json({ error: shape }, { status, headers })
  }
}

const NO_STORE = { 'cache-control': 'no-store' }

export type { Caller }
