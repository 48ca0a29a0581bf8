import { setTimeout as sleep } from 'node:timers/promises'
import { StatementAbortedError, toAppError } from '#server/db/errors.ts'
import { AppError } from '#server/rpc/errors.ts'
import type { ConnectionUse } from './call-context.ts'
import { connectionRevoked, explain, notConfigured } from './failures.ts'
import { revokeIfRemoved } from './leaving.ts'
import { ProviderError, type Tokens } from './provider.ts'
import {
  claimRefresh,
  getHeldConnection,
  type HeldConnection,
  markRevoked,
  type RefreshState,
  releaseRefresh,
} from './queries.ts'
import { providerOf } from './registry.ts'
import { heldTokens, openTokens, sealTokens } from './tokens.ts'

/** Longer than any provider call may take, so a claim lapses only if its holder has died. */
const CLAIM_SECONDS = 40
const WAIT_MS = 45_000
const MIN_POLL_MS = 25
const MAX_POLL_MS = 250
const RETRY_MS = 5_000
const FIRST_STORE_RETRY_MS = 125
const LAST_STORE_RETRY_MS = 4_000
/** A token that expires sooner than this is refreshed before it is used. */
const LEEWAY_MS = 60_000

export interface UsableConnection {
  readonly connection: RefreshState
  readonly accessToken: string
}

/**
 * Returns the connection with a valid token. Refreshes the token if it expires soon, or if its version is the
 * one that the provider just refused. Single-flight over all processes: one caller commits a claim, calls the
 * provider and stores the new tokens; the others poll the row.
 */
export async function withFreshToken(
  use: ConnectionUse,
  connection: RefreshState,
  refusedVersion: number | null = null,
): Promise<UsableConnection> {
  const deadline = Date.now() + WAIT_MS
  let current = connection
  let pollMs = MIN_POLL_MS
  let isWaiting = false
  for (;;) {
    if (current.status === 'revoked') throw connectionRevoked(current.provider)
    const { accessToken } = openTokens(use.services.keyring, current)
    if (accessToken !== null && current.tokenVersion !== refusedVersion && !isEnding(current)) {
      return { connection: current, accessToken }
    }
    // The refresh that this caller waited for failed, so the caller fails too: otherwise all waiting callers
    // would retry one after another.
    if (isWaiting && current.claim === 'none') throw refreshFailed(current, 'could not be refreshed')
    if (Date.now() > deadline) throw refreshFailed(current, 'took too long to refresh')
    if (current.claim === 'held') {
      await pause(pollMs, use.signal)
      pollMs = Math.min(pollMs * 2, MAX_POLL_MS)
    } else {
      const claim = await claimRefresh(use.writer, current, CLAIM_SECONDS)
      const fresh = claim === null ? null : await refresh(use, current, claim)
      if (fresh) return fresh
    }
    const { tokenVersion } = current
    current = await getHeldConnection(use.writer, current)
    isWaiting = current.tokenVersion === tokenVersion
  }
}

/**
 * Refreshes the tokens under a claim; null if other tokens were stored, or the connection was removed, in the
 * meantime.
 */
async function refresh(
  use: ConnectionUse,
  connection: HeldConnection,
  claim: string,
): Promise<UsableConnection | null> {
  const { identity, services, writer } = use
  const provider = providerOf(connection.provider)
  const app = services.providers[provider.name]
  let tokens: Tokens
  try {
    if (app === null) throw notConfigured(provider.name)
    // Loaded before the provider revokes the old tokens: every server must be able to decrypt the new ones.
    const keyring = await services.sealingKeyring()
    const held = heldTokens(keyring, connection)
    tokens = await provider.refresh(identity, app, held)
    if (tokens.accessToken === null) throw new ProviderError(provider.name, 'unreachable')
  } catch (error) {
    await giveUp(use, { connection, claim }, error)
    throw explain(error)
  }
  // The provider may have revoked the old tokens already, so nothing may prevent storing the new ones, not
  // even the caller's sign-out.
  const version = await storeTokens(use, { connection, claim }, tokens)
  if (version === null) {
    await revokeIfRemoved(use, connection, tokens)
    return null
  }
  // Reads with the caller's credential, which may have ended in the meantime.
  const stored = await getHeldConnection(writer, connection)
  if (stored.tokenVersion !== version) return null
  return { connection: stored, accessToken: tokens.accessToken }
}

/**
 * Stores the only copy of the new tokens; retries while the database restarts. Null if the claim was lost.
 */
async function storeTokens(
  { services }: ConnectionUse,
  { connection, claim }: { connection: HeldConnection; claim: string },
  tokens: Tokens,
): Promise<number | null> {
  const { userId, id } = connection
  const sealed = sealTokens(services.keyring, connection, tokens)
  for (let delayMs = FIRST_STORE_RETRY_MS; ; delayMs *= 2) {
    try {
      return await services.pools.system.storeRefreshedTokens({ userId, id, claim }, sealed)
    } catch (error) {
      const isPassing = toAppError(error)?.reason === 'database_unavailable'
      if (!isPassing || delayMs > LAST_STORE_RETRY_MS) throw error
      await sleep(delayMs)
    }
  }
}

async function giveUp(
  { writer, services }: ConnectionUse,
  { connection, claim }: { connection: HeldConnection; claim: string },
  error: unknown,
): Promise<void> {
  if (error instanceof ProviderError && error.kind === 'revoked') return markRevoked(writer, connection)
  const { id, provider } = connection
  services.log.warn({ err: error, connectionId: id, provider }, 'refreshing a token failed')
  const isRefused = error instanceof ProviderError && error.kind === 'refused'
  return releaseRefresh(writer, connection, { claim, status: isRefused ? 'error' : undefined })
}

/** Whether the connection has a refresh token. */
export function isRenewable({ refreshToken }: HeldConnection): boolean {
  return refreshToken !== null
}

function isEnding({ expiresAt }: HeldConnection): boolean {
  return expiresAt !== null && expiresAt.getTime() - LEEWAY_MS <= Date.now()
}

function refreshFailed({ provider }: HeldConnection, problem: string): AppError {
  return new AppError(
    'provider_unreachable',
    `the token for ${providerOf(provider).title} ${problem}: try again`,
    { retryAt: new Date(Date.now() + RETRY_MS) },
  )
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms * (0.5 + Math.random()), undefined, { signal })
  } catch (error) {
    throw signal?.aborted ? new StatementAbortedError() : error
  }
}
