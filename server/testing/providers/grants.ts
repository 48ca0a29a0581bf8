import { createHash, randomBytes } from 'node:crypto'

/** A user's grant to an application: a pair of tokens, while it lasts. */
export interface Grant<Subject> {
  readonly subject: Subject
  accessToken: string
  /** Null if tokens don't expire. */
  refreshToken: string | null
  expiresAtMs: number
  isRevoked: boolean
}

interface PendingCode<Subject> {
  readonly subject: Subject
  readonly redirectUri: string
  readonly challenge: string | null
}

export interface GrantsOptions {
  readonly newAccessToken: () => string
  readonly newRefreshToken: () => string
  readonly lifetimeSeconds: number | null
  /** Whether the redirect URI may be left out when a code is exchanged; a named one must still match. */
  readonly mayOmitRedirect?: boolean
}

type RedeemFailure = 'unknown_code' | 'wrong_redirect' | 'wrong_verifier'

/** The grants of one provider: codes work once, a used refresh token is invalid, and PKCE is checked. */
export interface Grants<Subject> {
  readonly all: readonly Grant<Subject>[]
  /** The lifetime of new tokens; null for tokens that never expire, without refresh tokens. */
  lifetimeSeconds: number | null
  issueCode(subject: Subject, request: { redirectUri: string; challenge: string | null }): string
  redeem(
    code: string | undefined,
    request: { redirectUri: string | undefined; verifier: string | undefined },
  ): Grant<Subject> | RedeemFailure
  /** Null if the token is unknown, used or revoked. */
  refresh(refreshToken: string | undefined): Grant<Subject> | null
  /** The grant of a valid token. */
  find(accessToken: string | null | undefined): Grant<Subject> | null
  /** The grant of either token, valid or not. */
  findAny(token: string | null | undefined): Grant<Subject> | null
  /** Expires all access tokens. */
  expireAll(): void
  /** Revokes everything, as a user can in the provider's settings. */
  revokeAll(): void
}

export function createGrants<Subject>(options: GrantsOptions): Grants<Subject> {
  const codes = new Map<string, PendingCode<Subject>>()
  const all: Grant<Subject>[] = []

  function renew(grant: Grant<Subject>, lifetimeSeconds: number | null): void {
    grant.accessToken = options.newAccessToken()
    grant.refreshToken = lifetimeSeconds === null ? null : options.newRefreshToken()
    grant.expiresAtMs =
      lifetimeSeconds === null ? Number.POSITIVE_INFINITY : Date.now() + lifetimeSeconds * 1_000
  }

  const grants: Grants<Subject> = {
    all,
    lifetimeSeconds: options.lifetimeSeconds,
    issueCode(subject, request) {
      const code = randomBytes(20).toString('hex')
      codes.set(code, { subject, ...request })
      return code
    },
    redeem(code, { redirectUri, verifier }) {
      const pending = codes.get(code ?? '')
      // A tried code is invalid, even if the rest of the request was wrong.
      codes.delete(code ?? '')
      if (!pending) return 'unknown_code'
      const isOmitted = redirectUri === undefined && options.mayOmitRedirect === true
      if (!isOmitted && pending.redirectUri !== redirectUri) return 'wrong_redirect'
      if (pending.challenge !== null && challengeOf(verifier ?? '') !== pending.challenge)
        return 'wrong_verifier'
      const grant: Grant<Subject> = {
        subject: pending.subject,
        accessToken: '',
        refreshToken: null,
        expiresAtMs: 0,
        isRevoked: false,
      }
      renew(grant, grants.lifetimeSeconds)
      all.push(grant)
      return grant
    },
    refresh(refreshToken) {
      const grant = refreshToken && all.find(one => one.refreshToken === refreshToken && !one.isRevoked)
      if (!grant) return null
      renew(grant, grants.lifetimeSeconds)
      return grant
    },
    find(accessToken) {
      const now = Date.now()
      return (
        all.find(one => one.accessToken === accessToken && !one.isRevoked && one.expiresAtMs > now) ?? null
      )
    },
    findAny(token) {
      if (!token) return null
      return all.find(one => one.accessToken === token || one.refreshToken === token) ?? null
    },
    expireAll() {
      for (const grant of all) grant.expiresAtMs = 0
    },
    revokeAll() {
      for (const grant of all) grant.isRevoked = true
    },
  }
  return grants
}

/** RFC 7636: the S256 challenge of a verifier. */
export function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url')
}
