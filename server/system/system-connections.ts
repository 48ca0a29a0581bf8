import pg from 'pg'
import { isSignInRefusal, SignInError } from '#server/db/errors.ts'
import type { SystemCall } from './system-call.ts'

// The system login's calls for connections, which carry no user's scope.

/** The result of a user's consent at a provider, sealed for the row of this id. */
export interface ConsentedConnection {
  readonly id: string
  readonly provider: string
  /** The account that the row connected before; null for a new row. */
  readonly before: string | null
  readonly externalId: string
  readonly name: string
  readonly icon: string | null
  readonly scopes: readonly string[]
  readonly botId: string | null
  readonly settings: object
  readonly accessToken: string | null
  readonly refreshToken: string | null
  readonly expiresAt: Date | null
}

/** A claim that lets only this process refresh the connection's tokens. */
export interface RefreshClaim {
  readonly userId: string
  readonly id: string
  readonly claim: string
}

export interface RefreshedTokens {
  readonly accessToken: string | null
  readonly refreshToken: string | null
  readonly expiresAt: Date | null
}

export async function storeConnection(
  call: SystemCall,
  credential: string,
  connection: ConsentedConnection,
): Promise<boolean> {
  const { id, provider, before, externalId, name, icon, scopes, botId, settings } = connection
  const { accessToken, refreshToken, expiresAt } = connection
  const stored = call(
    'select app.store_connection($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as is_stored',
    [
      credential,
      id,
      provider,
      before,
      externalId,
      name,
      icon,
      scopes,
      botId,
      JSON.stringify(settings),
      accessToken,
      refreshToken,
      expiresAt,
    ],
  )
  const [row] = await stored.catch((error: unknown) => {
    if (!(error instanceof pg.DatabaseError && isSignInRefusal(error.message))) throw error
    throw new SignInError(error.message, { cause: error })
  })
  return row?.isStored === true
}

export async function storeRefreshedTokens(
  call: SystemCall,
  { userId, id, claim }: RefreshClaim,
  tokens: RefreshedTokens,
): Promise<number | null> {
  const { accessToken, refreshToken, expiresAt } = tokens
  const [row] = await call('select app.store_refreshed_tokens($1, $2, $3, $4, $5, $6) as token_version', [
    userId,
    id,
    claim,
    accessToken,
    refreshToken,
    expiresAt,
  ])
  return typeof row?.tokenVersion === 'number' ? row.tokenVersion : null
}

export async function isAccountConnected(
  call: SystemCall,
  account: { provider: string; externalId: string },
): Promise<boolean> {
  const [row] = await call('select app.is_account_connected($1, $2) as is_connected', [
    account.provider,
    account.externalId,
  ])
  return row?.isConnected === true
}
