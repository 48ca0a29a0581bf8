export type CredentialKind = 'session' | 'token' | 'lease'

declare const signedIn: unique symbol

/**
 * Proof that the database accepted a credential, and whose it is. Every function with an effect outside the
 * database takes one as its first argument, so that forgetting to ask does not compile; only `ctx.identity()`
 * makes them.
 */
export interface Identity {
  readonly [signedIn]: true
  readonly userId: string
  readonly credential: CredentialKind
  /** The session's, API token's or lease's id. */
  readonly credentialId: string
  readonly organization: { readonly id: string; readonly role: 'owner' | 'admin' | 'member' } | null
  /** An API token's scopes, none for a lease; null for a session, which may do everything. */
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
 * Remembers whose credential it was, to share connections out by user. Nothing else may believe it: it can be
 * out of date.
 */
export function noteUser(credential: string, { userId }: SignInRow): void {
  if (typeof userId !== 'string' || users.get(credential) === userId) return
  if (users.size >= MAX_KNOWN) users.clear()
  users.set(credential, userId)
}

/** Whose credential it was when it last signed in; undefined where it has not, or was forgotten. */
export function lastKnownUser(credential: string): string | undefined {
  return users.get(credential)
}
