import type { ProvidersConfig } from '#server/app/config/providers.ts'
import { type Caller, createCaller } from '#server/rpc/caller.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { followOnce } from '#server/testing/providers/browser.ts'
import { eachOf, type Fakes, type OpenProviders, openProviders } from '#server/testing/providers/registry.ts'
import type { Connection, ProviderName } from './schema.ts'

export const APP_URL = 'http://localhost:3000'
export const FRIENDLY_ORIGIN = 'https://app.example.com'

/** A fake of each provider, and a test backend configured to use them. */
export interface ConnectedHouse {
  readonly house: House
  readonly opened: OpenProviders
  readonly fakes: Fakes
  readonly providers: ProvidersConfig
  /** The URL at which the test backend listens. */
  readonly origin: string
  /** Opens a URL of the test backend in a browser with the actor's cookie, or with none. */
  open(url: URL, actor: Actor | null): Promise<{ status: number; location: URL | null; body: string }>
  /** Starts a flow and consents at the provider; returns the URL to which the provider redirects. */
  consent(actor: Actor, provider: ProviderName, returnTo?: string): Promise<URL>
  /** Runs the whole flow; throws if it ends without a connection. */
  connect(actor: Actor, provider: ProviderName): Promise<Connection>
  close(): Promise<void>
}

export function cookieOf(actor: Actor): string {
  return `better-auth.session_token=${encodeURIComponent(actor.token)}`
}

/** Calls the router as the actor's browser does. */
export function browserOf(actor: Actor): Caller {
  return createCaller(actor.house.services, { headers: { cookie: cookieOf(actor) } })
}

export async function openConnectedHouse(): Promise<ConnectedHouse> {
  const opened = await openProviders(APP_URL)
  const fakes = eachOf(opened, ({ fake }) => fake) as Fakes
  const providers = eachOf(opened, ({ app }) => app) as ProvidersConfig
  const house = await openHouse({ providers, allowedOrigins: [FRIENDLY_ORIGIN] })
  const server = await serveHouse(house.services)
  eachOf(opened, one => one.furnish())

  const origin = `http://127.0.0.1:${server.port}`

  const connected: ConnectedHouse = {
    house,
    opened,
    fakes,
    providers,
    origin,
    async open(url, actor) {
      const response = await fetch(`${origin}${url.pathname}${url.search}`, {
        redirect: 'manual',
        headers: actor === null ? {} : { cookie: cookieOf(actor) },
      })
      const location = response.headers.get('location')
      return {
        status: response.status,
        location: location === null ? null : new URL(location),
        body: await response.text(),
      }
    },
    async consent(actor, provider, returnTo) {
      const input = { provider, ...(returnTo !== undefined && { returnTo }) }
      const { url } = await browserOf(actor).connections.authorize(input)
      return followOnce(url)
    },
    async connect(actor, provider) {
      const { location } = await connected.open(await connected.consent(actor, provider), actor)
      if (location?.searchParams.get('connected') !== provider)
        throw new Error(`the flow ended without a connection: ${location}`)
      const found = (await actor.caller().connections.list()).find(one => one.provider === provider)
      if (!found) throw new Error('the flow stored no connection')
      return found
    },
    async close() {
      await server.close()
      await house.close()
      await Promise.all(Object.values(fakes).map(fake => fake.close()))
    },
  }
  return connected
}

export async function createAda({ house }: ConnectedHouse): Promise<Actor> {
  return createActor(house, { name: 'Ada' })
}
