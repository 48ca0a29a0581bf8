export type CredentialKind = 'session' | 'token' | 'lease'

declare const signedIn: unique symbol

/**
 * Proof that the database accepted a credential, and whose it is. Every function with an effect outside the
 * database takes an Identity as its first argument, so that code without the check does not compile; only
 * `ctx.identity()` creates one.
 */
export interface Identity {
  readonly [signedIn]: true
  readonly userId: string
  readonly credential: CredentialKind
  /** The id of the session, API token or lease. */
  readonly credentialId: string
  readonly organization: { readonly id: string; readonly role: 'owner' | 'admin' | 'member' } | null
  /** An API token's scopes, empty for a lease; null for a session, which may do everything. */
  readonly scopes: readonly string[] | null
}

/** A row of app.sign_in. */
export type SignInRow = Record<string, unknown>

export function identityOf(row: SignInRow): Identity {
  const { userId, kind, credentialId, organizationId, organizationRole, scopes } = row
  return {
    userId,
    credential: kind,
    credentialId,
    organization: organizationId === null ? null : { id: organizationId, role: organizationRole },
    scopes,
  } as unknown as Identity
}

const MAX_KNOWN = 10_000
const users = new Map<string, string>()

/**
 * Remembers the user of a credential, to share connections by user. It may be outdated, so nothing else may
 * use it.
 */
export function noteUser(credential: string, { userId }: SignInRow): void {
  if (typeof userId !== 'string' || users.get(credential) === userId) return
  if (users.size >= MAX_KNOWN) users.clear()
  users.set(credential, userId)
}

/** The user of a credential at its last sign-in; undefined if it has not signed in or was forgotten. */
export function lastKnownUser(credential: string): string | undefined {
  return users.get(credential)
}
