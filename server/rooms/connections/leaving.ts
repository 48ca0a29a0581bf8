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

/** For the ends of all of a user's connections together. */
export const LEAVING_MS = 5_000

/**
 * Ends a connection here and at the provider. One that the provider can't be told about is removed all the same. A grant that
 * others hold too lives on until the last of them has left: each leaves first and looks then, so that one of them is the last.
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
 * Tells the providers of connections that are removed already, all at once, and waits for them no longer than a while. Never
 * throws: what could not be told is logged.
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

/** Ends tokens that came for a connection after it was removed, which nobody would end otherwise. */
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

/** Whether somebody else's connection lives on the grant that this one, which is removed, was made with. */
async function isShared({ pools }: RevokingServices, connection: HeldConnection): Promise<boolean> {
  if (!providerOf(connection.provider).sharesGrant) return false
  return pools.system.isAccountConnected(connection)
}

/** Ends a connection's access at the provider, which may not be there to be told. */
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
