// The served endpoints of Better Auth, and the rate limit of each. Any other path answers 404 before the
// library sees it, so that an update of the library opens nothing.
//
// Deliberately left out: listing and revoking sessions (by token, which is not stored; `account` does both by
// id), deleting users (`account.remove`) and organizations (a deleted row cannot be restored), updating
// sessions, reading a sign-in provider's access tokens, which nothing here needs, codes by mail, and showing
// the authenticator's secret again.

export type RateLimitGroup =
  | 'signUp'
  | 'signIn'
  | 'mail'
  | 'password'
  | 'link'
  | 'general'
  /** Password sign-ins for one mail address, from all clients. */
  | 'accountSignIn'
  /** Sign-ins past that limit that waited for their turn. */
  | 'accountTurn'
  /** Mails to one address, from all clients. */
  | 'accountMail'
  /** Codes for one user, over all sign-ins and sessions. */
  | 'secondFactor'

export interface Endpoint {
  readonly method: 'GET' | 'POST'
  /** The path below /api/auth. A segment that starts with a colon matches anything except a slash. */
  readonly path: string
  readonly group: RateLimitGroup
  /** A caller without a validly signed session is refused at once: no query, no rate limit, no library. */
  readonly needsSession?: true
}

export const ENDPOINTS = Object.freeze([
  { method: 'POST', path: '/sign-up/email', group: 'signUp' },
  { method: 'POST', path: '/sign-in/email', group: 'signIn' },
  { method: 'POST', path: '/sign-in/social', group: 'signIn' },
  { method: 'GET', path: '/callback/:provider', group: 'link' },
  { method: 'POST', path: '/sign-out', group: 'general' },
  { method: 'GET', path: '/get-session', group: 'general', needsSession: true },
  { method: 'POST', path: '/request-password-reset', group: 'mail' },
  { method: 'GET', path: '/reset-password/:token', group: 'link' },
  { method: 'POST', path: '/reset-password', group: 'password' },
  { method: 'POST', path: '/send-verification-email', group: 'mail' },
  { method: 'GET', path: '/verify-email', group: 'link' },
  { method: 'POST', path: '/change-password', group: 'password', needsSession: true },
  { method: 'POST', path: '/update-user', group: 'general', needsSession: true },
  { method: 'GET', path: '/list-accounts', group: 'general', needsSession: true },
  { method: 'POST', path: '/link-social', group: 'general', needsSession: true },
  { method: 'POST', path: '/unlink-account', group: 'general', needsSession: true },
  { method: 'POST', path: '/two-factor/enable', group: 'password', needsSession: true },
  { method: 'POST', path: '/two-factor/verify-totp', group: 'signIn' },
  { method: 'POST', path: '/two-factor/verify-backup-code', group: 'signIn' },
  { method: 'POST', path: '/two-factor/generate-backup-codes', group: 'password', needsSession: true },
  { method: 'POST', path: '/two-factor/disable', group: 'password', needsSession: true },
  { method: 'GET', path: '/error', group: 'general' },
  { method: 'GET', path: '/ok', group: 'general' },
  { method: 'POST', path: '/organization/create', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/check-slug', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/update', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/set-active', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/list', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/get-organization', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/get-full-organization', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/has-permission', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/list-members', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/get-active-member', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/get-active-member-role', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/update-member-role', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/remove-member', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/leave', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/invite-member', group: 'mail', needsSession: true },
  { method: 'POST', path: '/organization/cancel-invitation', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/accept-invitation', group: 'general', needsSession: true },
  { method: 'POST', path: '/organization/reject-invitation', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/get-invitation', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/list-invitations', group: 'general', needsSession: true },
  { method: 'GET', path: '/organization/list-user-invitations', group: 'general', needsSession: true },
] as const satisfies readonly Endpoint[])

const exact = new Map<string, Endpoint>()
const patterns: { matches: RegExp; endpoint: Endpoint }[] = []
for (const endpoint of ENDPOINTS) {
  if (endpoint.path.includes(':')) {
    patterns.push({ matches: new RegExp(`^${endpoint.path.replace(/:\w+/, '[^/]+')}$`), endpoint })
  } else {
    exact.set(`${endpoint.method} ${endpoint.path}`, endpoint)
  }
}

/** Finds the endpoint of a method and a path below /api/auth; undefined if it is closed. */
export function findEndpoint(method: string, path: string): Endpoint | undefined {
  return (
    exact.get(`${method} ${path}`) ??
    patterns.find(({ matches, endpoint }) => endpoint.method === method && matches.test(path))?.endpoint
  )
}
