import type { ConfigReader } from '#server/app/config/reader.ts'
import type { Identity } from '#server/db/identity.ts'
import type { WebhookProvider } from '#server/webhooks/provider.ts'
import type { OAuthApp } from './app.ts'
import type { ProviderName } from './schema.ts'

/** Tokens as a provider gave them out. */
export interface Tokens {
  /** Null once the access has ended. */
  readonly accessToken: string | null
  readonly refreshToken: string | null
  /** Null for a token that never expires. */
  readonly expiresAt: Date | null
}

/** What a user's consent led to. */
export interface Grant extends Tokens {
  /** The workspace, installation, team or organization as the provider's webhooks name it. */
  readonly externalId: string
  readonly name: string
  readonly icon: string | null
  readonly scopes: readonly string[]
  readonly botId: string | null
  /** Typed by provider, in `schema.ts`. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** The callback's request: what the provider sent the browser back with. */
export interface CallbackInput {
  readonly code: string
  /** Null where the provider has no PKCE. */
  readonly codeVerifier: string | null
  readonly redirectUri: string
  /** The whole query, of which nothing is to be believed unchecked. */
  readonly query: URLSearchParams
}

export interface AuthorizeInput {
  readonly state: string
  readonly codeVerifier: string | null
  readonly redirectUri: string
}

/** A connection's tokens and names, opened, as `refresh` and `revoke` need them. */
export interface HeldTokens extends Tokens {
  readonly externalId: string
}

/**
 * The one record of a provider, in `providers/<name>.ts`. Typed calls are functions of the same file that take
 * `(identity, app, { accessToken, … })`. Whatever reaches the provider takes an Identity first, keeps a deadline and throws
 * {@link ProviderError} only. Libraries are imported where they are called: a server that never calls does without the memory that
 * they take.
 */
export interface Provider<App extends OAuthApp = OAuthApp> {
  readonly name: ProviderName
  /** How the provider writes its name. */
  readonly title: string
  readonly scopes: readonly string[]
  /** Whether a flow carries a PKCE verifier. */
  readonly hasPkce: boolean
  /** Whether all who connect one account hold the same grant, which ends for all of them at once. */
  readonly sharesGrant?: boolean
  /** Whether a user has one connection, which one to another account replaces. */
  readonly isSingle?: boolean
  readonly webhook: WebhookProvider
  /** Reads the operator's app from the environment; null where there is none. */
  readApp(reader: ConfigReader): App | null
  authorizeUrl(app: App, input: AuthorizeInput): URL | Promise<URL>
  /** Whether the browser comes back without a code because somebody else has yet to grant what its user asked for. */
  isRequested?(query: URLSearchParams): boolean
  /** Trades the code for tokens, and checks that what the query names is the user's. */
  exchange(identity: Identity, app: App, input: CallbackInput): Promise<Grant>
  /** Throws `revoked` only where no later attempt can succeed. */
  refresh(identity: Identity, app: App, held: HeldTokens): Promise<Tokens>
  /** Ends the access upstream. One that has ended already is no error. */
  revoke(identity: Identity, app: App, held: HeldTokens): Promise<void>
}

/**
 * - `revoked`: the token or the grant has ended for good.
 * - `rate_limited`: too many calls; `retryAt` says when again.
 * - `unreachable`: no answer, a late one, or one that makes no sense.
 * - `refused`: the provider understood and said no; `reason` is its own stable word.
 */
export type ProviderErrorKind = 'revoked' | 'rate_limited' | 'unreachable' | 'refused'

export interface ProviderErrorDetails {
  readonly reason?: string
  readonly retryAt?: Date
  readonly cause?: unknown
}

/** A provider's failure. Neither message nor reason holds a token or a text of the provider's that could. */
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
