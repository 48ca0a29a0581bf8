import { createHash, randomBytes } from 'node:crypto'

/** What a person allowed an application: a pair of tokens, for as long as it lasts. */
export interface Grant<Subject> {
  readonly subject: Subject
  accessToken: string
  /** Null where tokens don't expire. */
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

/** The grants of one provider: codes serve once, a refresh token dies when used, and PKCE is checked. */
export interface Grants<Subject> {
  readonly all: readonly Grant<Subject>[]
  /** Null: tokens that never expire, without refresh tokens. Decides for tokens that are made from now on. */
  lifetimeSeconds: number | null
  issueCode(subject: Subject, request: { redirectUri: string; challenge: string | null }): string
  redeem(
    code: string | undefined,
    request: { redirectUri: string | undefined; verifier: string | undefined },
  ): Grant<Subject> | RedeemFailure
  /** Null when the token is unknown, was used or is revoked. */
  refresh(refreshToken: string | undefined): Grant<Subject> | null
  /** The grant of a token that works now. */
  find(accessToken: string | null | undefined): Grant<Subject> | null
  /** The grant of either token, whether it works or not. */
  findAny(token: string | null | undefined): Grant<Subject> | null
  /** Ends all access tokens, as time would. */
  expireAll(): void
  /** Ends everything, as people do in the provider's settings. */
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
      // A code that was tried is gone, whether or not the rest fits.
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

/** RFC 7636: the challenge of a verifier, by S256. */
export function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url')
}
