import type { ConfigReader } from '#server/app/config/reader.ts'
import type { Identity } from '#server/db/identity.ts'
import type { WebhookProvider } from '#server/webhooks/provider.ts'
import type { OAuthApp } from './app.ts'
import type { ProviderName } from './schema.ts'

/** Tokens that a provider issued. */
export interface Tokens {
  /** Null once the access was revoked. */
  readonly accessToken: string | null
  readonly refreshToken: string | null
  /** Null if the token never expires. */
  readonly expiresAt: Date | null
}

/** The result of a user's consent. */
export interface Grant extends Tokens {
  /** The id of the workspace, installation, team or organization that the provider's webhooks use. */
  readonly externalId: string
  readonly name: string
  readonly icon: string | null
  readonly scopes: readonly string[]
  readonly botId: string | null
  /** Typed by provider in `schema.ts`. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** The request with which the provider redirected the browser to the callback. */
export interface CallbackInput {
  readonly code: string
  /** Null if the provider does not use PKCE. */
  readonly codeVerifier: string | null
  readonly redirectUri: string
  /** The whole query. Untrusted. */
  readonly query: URLSearchParams
}

interface AuthorizeInput {
  readonly state: string
  readonly codeVerifier: string | null
  readonly redirectUri: string
}

/** The decrypted tokens and names of a connection that `refresh` and `revoke` need. */
export interface HeldTokens extends Tokens {
  readonly externalId: string
}

/**
 * A provider's record, in `providers/<name>.ts`; typed calls are functions of the same file that take
 * `(identity, app, { accessToken, … })`. Each function that calls the provider takes an Identity first, has a
 * deadline and throws only {@link ProviderError}. Libraries are imported where they are used, so a server
 * that never calls the provider saves their memory.
 */
export interface Provider<App extends OAuthApp = OAuthApp> {
  readonly name: ProviderName
  /** The provider's name as shown to users. */
  readonly title: string
  readonly scopes: readonly string[]
  /** Whether a flow uses a PKCE verifier. */
  readonly hasPkce: boolean
  /**
   * Whether all users who connect one account share one grant, so that revoking it ends all their
   * connections.
   */
  readonly sharesGrant?: boolean
  /** Whether a user has at most one connection, which connecting another account replaces. */
  readonly isSingle?: boolean
  readonly webhook: WebhookProvider
  /** Reads the operator's app from the environment; null if there is none. */
  readApp(reader: ConfigReader): App | null
  authorizeUrl(app: App, input: AuthorizeInput): URL | Promise<URL>
  /** Whether the callback has no code because somebody else must first approve the user's request. */
  isRequested?(query: URLSearchParams): boolean
  /** Exchanges the code for tokens, and verifies that the user may access what the query names. */
  exchangeCode(identity: Identity, app: App, input: CallbackInput): Promise<Grant>
  /** Throws `revoked` only if no later attempt can succeed. */
  refresh(identity: Identity, app: App, held: HeldTokens): Promise<Tokens>
  /** Revokes the access at the provider. Succeeds if it was already revoked. */
  revoke(identity: Identity, app: App, held: HeldTokens): Promise<void>
}

/**
 * - `revoked`: the token or the grant was revoked for good.
 * - `rate_limited`: too many calls; `retryAt` says when to try again.
 * - `unreachable`: no answer, a late one or an invalid one.
 * - `refused`: the provider rejected the call; `reason` is the provider's own stable word.
 */
export type ProviderErrorKind = 'revoked' | 'rate_limited' | 'unreachable' | 'refused'

export interface ProviderErrorDetails {
  readonly reason?: string
  readonly retryAt?: Date
  readonly cause?: unknown
}

/**
 * A provider's failure. Message and reason contain neither a token nor text of the provider that could
 * contain one.
 */
export class ProviderError extends Error {
  readonly provider: ProviderName
  readonly kind: ProviderErrorKind
  readonly reason: string | undefined
  readonly retryAt: Date | undefined

  constructor(provider: ProviderName, kind: ProviderErrorKind, details: ProviderErrorDetails = {}) {
    super(`${provider}: ${kind}${details.reason === undefined ? '' : ` (${details.reason})`}`, {
      cause: details.cause,
    })
    this.name = 'ProviderError'
    this.provider = provider
    this.kind = kind
    this.reason = details.reason
    this.retryAt = details.retryAt
  }
}
