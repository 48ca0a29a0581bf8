import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import type { Actor, House } from './actors.ts'
import { installationEvent as installationBody } from './providers/github-record.ts'
import { TEST_PROVIDERS } from './providers/registry.ts'
import type { SentHeaders } from './providers/test-provider.ts'

export { linearEvent } from './providers/linear-record.ts'
export { slackEvent } from './providers/slack-record.ts'
export { hmac, type SentHeaders } from './providers/test-provider.ts'

export const WEBHOOK_SECRETS = Object.fromEntries(
  PROVIDERS.map(name => [name, TEST_PROVIDERS[name].webhook.secret]),
) as Readonly<Record<ProviderName, string>>

/** The same secrets as variables for a server's environment. */
export const WEBHOOK_ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries(
  PROVIDERS.map(name => [TEST_PROVIDERS[name].webhook.variable, WEBHOOK_SECRETS[name]]),
)

export interface Sent {
  readonly body: string | Buffer
  readonly headers: SentHeaders
}

const seconds = () => Math.floor(Date.now() / 1_000)

/** Signs a body as its provider does, now or at another time; `headers` are added to the provider's own. */
export function sign(
  provider: ProviderName,
  body: string | Buffer,
  { secret = WEBHOOK_SECRETS[provider], at = seconds(), headers = {} as SentHeaders } = {},
): Sent {
  const own = TEST_PROVIDERS[provider].webhook.headersOf(body, { secret, at })
  return { body, headers: { 'content-type': 'application/json', ...own, ...headers } }
}

/** A signed event about this workspace, installation or team. */
export function eventOf(provider: ProviderName, externalId: string, extra: object = {}): Sent {
  return sign(provider, JSON.stringify({ ...TEST_PROVIDERS[provider].webhook.event(externalId), ...extra }))
}

/** An event of GitHub about an installation itself. */
export function installationEvent(installationId: string, action: string): Sent {
  const { body, headers } = installationBody(installationId, action)
  return sign('github', JSON.stringify(body), { headers })
}

/** The event that ends access to this workspace, installation or team; null for a provider without one. */
export function endOf(provider: ProviderName, externalId: string): Sent | null {
  const end = TEST_PROVIDERS[provider].webhook.end(externalId)
  return end && sign(provider, JSON.stringify(end.body), { headers: end.headers ?? {} })
}

/** An id of the provider that no other connection has. */
export function newExternalId(provider: ProviderName): string {
  return TEST_PROVIDERS[provider].webhook.newExternalId()
}

/** Connects an actor by inserting the row directly. */
export async function connect(
  actor: Pick<Actor, 'house' | 'userId'>,
  provider: ProviderName,
  { externalId = newExternalId(provider), status = 'active' } = {},
): Promise<{ id: string; externalId: string }> {
  const { rows } = await actor.house.owner.query<{ id: string }>(
    `insert into app.connections (user_id, provider, external_id, name, status, settings)
     values ($1, $2, $3, 'a connection', $4, '{"isSuspended": false}') returning id`,
    [actor.userId, provider, externalId, status],
  )
  return { id: rows[0]?.id ?? '', externalId }
}

/** Reads a connection's row. */
export async function readConnection(house: House, id: string): Promise<Record<string, unknown>> {
  const { rows } = await house.owner.query('select * from app.connections where id = $1', [id])
  return rows[0]
}

/** Reads the deliveries with this text in their payload. */
export async function readDeliveries(house: House, mark: string): Promise<Record<string, unknown>[]> {
  const { rows } = await house.owner.query(
    'select * from app.webhook_deliveries where strpos(payload::text, $1) > 0 order by id',
    [mark],
  )
  return rows
}

/** Reads the events of one connection, oldest first. */
export async function readEvents(house: House, connectionId: string): Promise<Record<string, unknown>[]> {
  const { rows } = await house.owner.query(
    'select * from app.webhook_events where connection_id = $1 order by id',
    [connectionId],
  )
  return rows
}
