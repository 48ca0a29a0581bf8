import { initTRPC, TRPCError } from '@trpc/server'
import { z } from 'zod'
import { publicDatabase, scopedDatabase, signIn } from '#server/db/database.ts'
import { StatementAbortedError, toAppError } from '#server/db/errors.ts'
import { DEFAULT_TIMEOUT_MS, type StatementScope } from '#server/db/scope.ts'
import { TimeBudget } from '#server/db/time-budget.ts'
import type { Context } from './context.ts'
import { AppError, type ErrorDetails, type Reason } from './errors.ts'
import { withoutOutputParsing } from './outputs.ts'
import type { Permission } from './scopes.ts'
import { transformer } from './transformer.ts'
import { toTRPCError } from './trpc-error.ts'

export interface ProcedureMeta {
  /** What the caller's credential must allow. */
  readonly permission: Permission
  /** Of a subscription that returns a LiveStream, which our HTTP handler sends without tRPC's. */
  readonly isLive?: boolean
}

/** What `data` of an error holds, besides tRPC's code, httpStatus and path. */
interface ErrorData extends ErrorDetails {
  reason?: Reason
  issues?: { formErrors: string[]; fieldErrors: Record<string, string[] | undefined> }
}

/** A client that hears nothing for so long takes its connection for lost and resumes on another. */
const KEEP_ALIVE = {
  ping: { enabled: true, intervalMs: 15_000 },
  client: { reconnectAfterInactivityMs: 45_000 },
}

const t = initTRPC
  .context<Context>()
  .meta<ProcedureMeta>()
  .create({
    transformer,
    isDev: false,
    sse: KEEP_ALIVE,
    errorFormatter({ shape, error }) {
      const { code, httpStatus, path } = shape.data
      return { ...shape, message: messageOf(error), data: { code, httpStatus, path, ...errorData(error) } }
    },
  })

function messageOf(error: TRPCError): string {
  if (error.code === 'INTERNAL_SERVER_ERROR') return 'something went wrong; it has been logged'
  return error.cause instanceof z.ZodError ? 'the input is not valid' : error.message
}

/** Answers are not parsed with their output schemas; {@link checkOutputs} makes tests do it. */
export const router: typeof t.router = procedures => t.router(withoutOutputParsing(procedures))
export const createCallerFactory = t.createCallerFactory

/**
 * The base of every procedure that needs a caller. Binds `ctx.db` to the caller's credential and to what the procedure asks
 * of it: queries run read-only. `ctx.identity()` signs in on its own, before an effect outside the database.
 */
export function procedure(permission: Permission) {
  return t.procedure.meta({ permission }).use(async ({ ctx, type, next }) => {
    const { credential, services } = ctx
    if (credential === null)
      throw toTRPCError(new AppError('unauthenticated', 'sign in, or present a valid credential'))
    const scope = scopeOf(ctx, credential, { permission, isReadOnly: type !== 'mutation' })
    const result = await next({
      ctx: {
        credential,
        scope,
        db: scopedDatabase(services.pools.api, scope),
        identity: () => signIn(services.pools.api, scope),
      },
    })
    if (!result.ok && result.error.cause) result.error = withCodeOfCause(result.error)
    return result
  })
}

/**
 * The base of queries that need no credential and look at none. `ctx.db` is the public login's: it reads what is published and
 * the catalogue of tools, whoever asks.
 */
export const publicProcedure = t.procedure.meta({ permission: 'none' }).use(async ({ ctx, next }) => {
  const { services, signal } = ctx
  const scope = { timeoutMs: DEFAULT_TIMEOUT_MS, budget: new TimeBudget(), signal }
  const db = publicDatabase(services.pools.public, scope)
  const result = await next({ ctx: { db } })
  if (!result.ok && result.error.cause) result.error = withCodeOfCause(result.error)
  return result
})

/** The base of subscriptions that return a LiveStream. */
export function liveProcedure(permission: Permission) {
  return procedure(permission).meta({ permission, isLive: true })
}

/**
 * The base of procedures that the operator's workers call as well as users. `ctx.db` is null for such a worker, who has no
 * user; whatever it may do goes through `services.pools.system`.
 */
export function workerProcedure(permission: Permission) {
  return t.procedure.meta({ permission }).use(async ({ ctx, next }) => {
    const { credential, services } = ctx
    if (credential === null && !ctx.isOperator)
      throw toTRPCError(new AppError('unauthenticated', 'sign in, or present a valid credential'))
    const scope = credential === null ? null : scopeOf(ctx, credential, { permission, isReadOnly: false })
    const db = scope && scopedDatabase(services.pools.api, scope)
    const result = await next({ ctx: { db, budget: scope?.budget ?? new TimeBudget() } })
    if (!result.ok && result.error.cause) result.error = withCodeOfCause(result.error)
    return result
  })
}

function scopeOf(
  ctx: Context,
  credential: string,
  { permission, isReadOnly }: Pick<StatementScope, 'permission' | 'isReadOnly'>,
): StatementScope {
  return {
    credential,
    organizationId: ctx.organizationId,
    permission,
    isReadOnly,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    budget: new TimeBudget(),
    signal: ctx.signal,
    onTouchDue: ctx.noteTouchDue,
  }
}

/** Gives a procedure's failure the code of what caused it. */
function withCodeOfCause(error: TRPCError): TRPCError {
  const { cause } = error
  if (cause instanceof StatementAbortedError) {
    return new TRPCError({ code: 'CLIENT_CLOSED_REQUEST', message: cause.message, cause })
  }
  return toTRPCError(toAppError(cause) ?? error)
}

function errorData(error: TRPCError): ErrorData {
  const { cause } = error
  if (cause instanceof AppError) {
    return { reason: cause.reason, ...cause.details }
  }
  if (cause instanceof z.ZodError) return { reason: 'invalid_input', issues: z.flattenError(cause) }
  switch (error.code) {
    case 'BAD_REQUEST':
    case 'PARSE_ERROR':
      return { reason: 'invalid_input' }
    case 'NOT_FOUND':
      return { reason: 'not_found' }
    case 'INTERNAL_SERVER_ERROR':
      return { reason: 'internal' }
    default:
      return {}
  }
}
