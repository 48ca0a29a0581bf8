import type { Identity } from '#server/db/identity.ts'
import { AppError } from '#server/rpc/errors.ts'
import { type CallContext, type ConnectionUse, writerOf } from './call-context.ts'
import { explain, notConfigured } from './failures.ts'
import { ProviderError } from './provider.ts'
import { getHeldConnection, markRevoked } from './queries.ts'
import { isRenewable, type UsableConnection, withFreshToken } from './refresh.ts'
import type { AppOf } from './registry.ts'
import type { ProviderName } from './schema.ts'

/** The credentials of a call to the provider. */
interface Access {
  readonly accessToken: string
  readonly externalId: string
}

type ProviderCall<Name extends ProviderName, T> = (
  identity: Identity,
  app: AppOf<Name>,
  access: Access,
) => Promise<T>

/**
 * Calls a provider with the token of one of the caller's connections. Refreshes the token first if it expires
 * soon, and once more if the provider rejects it. Throws `not_found`, `provider_not_configured`,
 * `connection_revoked` (after marking the connection revoked), `rate_limited` with the time to retry,
 * `provider_unreachable`, `provider_refused` or `value_unreadable`.
 */
export async function useConnection<Name extends ProviderName, T>(
  ctx: CallContext,
  target: { id: string; provider: Name },
  call: ProviderCall<Name, T>,
): Promise<T> {
  const identity = await ctx.identity()
  const { services, scope } = ctx
  const connection = await getHeldConnection(ctx.db, target)
  const app = services.providers[target.provider]
  if (app === null) throw notConfigured(target.provider)
  const ask = ({ connection, accessToken }: UsableConnection) =>
    call(identity, app, { accessToken, externalId: connection.externalId })
  const use = { identity, services, writer: writerOf(ctx), signal: scope.signal }
  const usable = await withFreshToken(use, connection)
  try {
    return await ask(usable)
  } catch (error) {
    if (!isRevocation(error)) throw explain(error)
    const renewed = await renewOrMark(use, usable)
    if (!renewed) throw explain(error)
    return callAgain(use, renewed, ask)
  }
}

async function renewOrMark(
  use: ConnectionUse,
  { connection }: UsableConnection,
): Promise<UsableConnection | null> {
  if (isRenewable(connection)) return withFreshToken(use, connection, connection.tokenVersion)
  await markRevoked(use.writer, connection)
  return null
}

async function callAgain<T>(
  use: ConnectionUse,
  usable: UsableConnection,
  ask: (usable: UsableConnection) => Promise<T>,
): Promise<T> {
  try {
    return await ask(usable)
  } catch (error) {
    if (isRevocation(error)) await markRevoked(use.writer, usable.connection)
    throw explain(error)
  }
}

function isRevocation(error: unknown): boolean {
  return error instanceof ProviderError && error.kind === 'revoked'
}

/** Turns a refusal with this reason into `not_found`. */
export function orNotFound(noun: string, reason: string): (error: unknown) => never {
  return error => {
    if (error instanceof ProviderError && error.kind === 'refused' && error.reason === reason) {
      throw new AppError('not_found', `${noun} not found`, { cause: error })
    }
    throw error
  }
}
