import { once } from 'node:events'
import type { Services } from '#server/app/services.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import { AppError } from '#server/rpc/errors.ts'
import { type CallContext, type ConnectionUse, writerOf } from './call-context.ts'
import { ProviderError, type Tokens } from './provider.ts'
import { getHeldConnection, type HeldConnection, removeConnection } from './queries.ts'
import { providerOf } from './registry.ts'
import { heldTokens } from './tokens.ts'

type RevokingServices = Pick<Services, 'keyring' | 'log' | 'pools' | 'providers'>

/** The time limit for revoking all connections of a user. */
export const LEAVING_MS = 5_000

/**
 * Removes a connection and revokes its access at the provider; removes it even if the provider is
 * unreachable. A grant that several users share is revoked with the last of its connections: the row is
 * removed first and the others are counted afterwards, so of two concurrent calls at least one revokes.
 */
export async function disconnect(ctx: CallContext, id: string): Promise<{ id: string }> {
  const { services } = ctx
  const identity = await ctx.identity()
  const connection = await getHeldConnection(ctx.db, { id })
  if (!providerOf(connection.provider).sharesGrant) {
    await revokeUpstream(identity, services, connection)
    return removeConnection(writerOf(ctx), id)
  }
  const removed = await removeConnection(writerOf(ctx), id)
  await revokeUnshared(identity, services, connection)
  return removed
}

/**
 * Revokes removed connections at their providers, in parallel, and waits at most {@link LEAVING_MS}. Never
 * throws: failures are logged.
 */
export async function revokeRemoved(
  identity: Identity,
  services: RevokingServices,
  connections: readonly HeldConnection[],
): Promise<void> {
  if (connections.length === 0) return
  const deadline = AbortSignal.timeout(LEAVING_MS)
  const told = connections.map(connection =>
    revokeUnshared(identity, services, connection).catch(error => logUntold(services, connection, error)),
  )
  await Promise.race([Promise.all(told), once(deadline, 'abort')])
}

/** Revokes refreshed tokens whose connection was removed in the meantime. */
export async function revokeIfRemoved(
  { identity, services, writer }: Pick<ConnectionUse, 'identity' | 'services' | 'writer'>,
  connection: HeldConnection,
  tokens: Tokens,
): Promise<void> {
  if (await isThere(writer, connection)) return
  const { provider, externalId } = connection
  const app = services.providers[provider]
  if (app === null || (await isShared(services, connection))) return
  await providerOf(provider)
    .revoke(identity, app, { ...tokens, externalId })
    .catch(error => logUntold(services, connection, error))
}

async function isThere(db: Database, { id }: HeldConnection): Promise<boolean> {
  try {
    await getHeldConnection(db, { id })
    return true
  } catch (error) {
    if (error instanceof AppError && error.reason === 'not_found') return false
    throw error
  }
}

async function revokeUnshared(
  identity: Identity,
  services: RevokingServices,
  connection: HeldConnection,
): Promise<void> {
  if (!(await isShared(services, connection))) await revokeUpstream(identity, services, connection)
}

/** Whether another user's connection shares the grant of this removed connection. */
async function isShared({ pools }: RevokingServices, connection: HeldConnection): Promise<boolean> {
  if (!providerOf(connection.provider).sharesGrant) return false
  return pools.system.isAccountConnected(connection)
}

/** Revokes a connection's access at the provider; logs a warning if that fails. */
export async function revokeUpstream(
  identity: Identity,
  services: RevokingServices,
  connection: HeldConnection,
): Promise<void> {
  const { provider: name, id, status } = connection
  const provider = providerOf(name)
  if (status === 'revoked') return
  const app = services.providers[name]
  if (app === null) {
    services.log.warn(
      { connectionId: id, provider: name },
      'the provider is not configured: revoke the access in its settings',
    )
    return
  }
  try {
    await provider.revoke(identity, app, heldTokens(services.keyring, connection))
  } catch (error) {
    if (!(error instanceof ProviderError || error instanceof AppError)) throw error
    logUntold(services, connection, error)
  }
}

function logUntold({ log }: RevokingServices, { id, provider }: HeldConnection, error: unknown): void {
  log.warn(
    { err: error, connectionId: id, provider },
    "revoking the access failed: revoke it in the provider's settings",
  )
}
