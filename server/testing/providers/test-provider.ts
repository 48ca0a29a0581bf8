import { createHmac } from 'node:crypto'
import type { OAuthApp } from '#server/rooms/connections/app.ts'
import type { ConnectionSettings } from '#server/rooms/connections/schema.ts'
import type { ProviderControls } from './fake-server.ts'
import type { Grants } from './grants.ts'

/** A header that comes more than once has a list of values. */
export type SentHeaders = Record<string, string | string[]>

/** How a provider sends webhooks, made from what it documents and from no code of its or ours. */
interface WebhookSender {
  readonly secret: string
  /** The server's variable for that secret. */
  readonly variable: string
  readonly signatureHeader: string
  /** The provider's own headers of a body that is sent at a time, in seconds. */
  headersOf(body: string | Buffer, signing: { secret: string; at: number }): SentHeaders
  /** An id that nobody else is connected to. */
  newExternalId(): string
  /** The body of something that happened in this workspace, installation or team. */
  event(externalId: string): object
  /** What tells that access to it has ended; null for a provider that tells nobody. */
  end(externalId: string): { readonly body: object; readonly headers?: SentHeaders } | null
}

/** A fake provider that is open, as every test uses it. */
export interface OpenProvider<Fake extends ProviderControls, App extends OAuthApp = OAuthApp> {
  readonly fake: Fake
  readonly app: App
  /** What a server's environment says of that app. */
  readonly environment: Readonly<Record<string, string>>
  readonly tokens: Grants<unknown>
  /** Gives it something to connect, which its browser allows. */
  furnish(): void
  /** Makes its browser decline; absent where people can't. `furnish` ends it. */
  readonly decline?: () => void
}

/** The one record of a provider that tests use, in `<name>-record.ts`. */
export interface TestProvider<Fake extends ProviderControls, App extends OAuthApp = OAuthApp> {
  open(options: { callbackUrls: readonly string[] }): Promise<OpenProvider<Fake, App>>
  /** A query that asks the provider with the token of a connection, and lists something. */
  readonly call: string
  readonly tokenEndpoint: string
  /** What a connection may be set up with. */
  readonly settings: ConnectionSettings
  readonly webhook: WebhookSender
}

export function hmac(secret: string, ...parts: (string | Buffer)[]): string {
  const mac = createHmac('sha256', secret)
  for (const part of parts) mac.update(part)
  return mac.digest('hex')
}

/** The app of a fake with an id and a secret, and the variables that name it. */
export function oauthAppOf(
  { clientId, clientSecret, url }: { clientId: string; clientSecret: string; url: string },
  prefix: string,
): { app: OAuthApp; environment: Record<string, string> } {
  return {
    app: { clientId, clientSecret, apiUrl: url, webUrl: url },
    environment: {
      [`${prefix}_CLIENT_ID`]: clientId,
      [`${prefix}_CLIENT_SECRET`]: clientSecret,
      [`${prefix}_API_URL`]: url,
    },
  }
}
