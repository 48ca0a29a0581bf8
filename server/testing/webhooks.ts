import { createHmac, randomUUID } from 'node:crypto'
import type { ProviderName } from '../connections/schema.ts'
import type { Actor, House } from './actors.ts'

// Senders of webhooks, made from what the providers document and from no code of theirs or ours.

export const WEBHOOK_SECRETS = {
  github: 'github-webhook-secret-5d1f',
  slack: 'slack-signing-secret-77aa',
  linear: 'lin_wh_secret-31c0',
  notion: 'secret_notion-token-9b2e',
} as const satisfies Record<ProviderName, string>

/** The same for a server's environment. */
export const WEBHOOK_ENVIRONMENT = {
  GITHUB_APP_WEBHOOK_SECRET: WEBHOOK_SECRETS.github,
  SLACK_SIGNING_SECRET: WEBHOOK_SECRETS.slack,
  LINEAR_WEBHOOK_SECRET: WEBHOOK_SECRETS.linear,
  NOTION_WEBHOOK_TOKEN: WEBHOOK_SECRETS.notion,
} as const

/** A header that comes more than once has a list of values. */
export type SentHeaders = Record<string, string | string[]>

export interface Sent {
  readonly body: string | Buffer
  readonly headers: SentHeaders
}

export function hmac(secret: string, ...parts: (string | Buffer)[]): string {
  const mac = createHmac('sha256', secret)
  for (const part of parts) mac.update(part)
  return mac.digest('hex')
}

const seconds = () => Math.floor(Date.now() / 1_000)

/** Signs a body as its provider does, now or at another time; `headers` add to the provider's own. */
export function sign(
  provider: ProviderName,
  body: string | Buffer,
  { secret = WEBHOOK_SECRETS[provider] as string, at = seconds(), headers = {} as SentHeaders } = {},
): Sent {
  const own: Record<ProviderName, () => SentHeaders> = {
    github: () => ({
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${hmac(secret, body)}`,
    }),
    slack: () => ({
      'x-slack-request-timestamp': String(at),
      'x-slack-signature': `v0=${hmac(secret, `v0:${at}:`, body)}`,
    }),
    linear: () => ({ 'linear-delivery': randomUUID(), 'linear-signature': hmac(secret, body) }),
    notion: () => ({ 'x-notion-signature': `sha256=${hmac(secret, body)}` }),
  }
  return { body, headers: { 'content-type': 'application/json', ...own[provider](), ...headers } }
}

/** A signed event of something that happened in this workspace, installation or team. */
export function eventOf(provider: ProviderName, externalId: string, extra: object = {}): Sent {
  switch (provider) {
    case 'github':
      return sign(
        'github',
        JSON.stringify({
          ref: 'main',
          after: randomUUID(),
          installation: { id: Number(externalId) },
          ...extra,
        }),
      )
    case 'slack':
      return sign('slack', JSON.stringify(slackEvent(externalId, { type: 'message', text: 'hi' }, extra)))
    case 'linear':
      return sign('linear', JSON.stringify(linearEvent(externalId, extra)))
    case 'notion':
      return sign(
        'notion',
        JSON.stringify({
          id: randomUUID(),
          timestamp: new Date().toISOString(),
          workspace_id: externalId,
          type: 'page.content_updated',
          entity: { id: randomUUID(), type: 'page' },
          ...extra,
        }),
      )
  }
}

export function slackEvent(teamId: string, event: object, extra: object = {}): object {
  return {
    token: 'slack-verification-token',
    team_id: teamId,
    api_app_id: 'A1',
    type: 'event_callback',
    event_id: `Ev${randomUUID()}`,
    event_time: seconds(),
    event,
    ...extra,
  }
}

export function linearEvent(organizationId: string, extra: object = {}): object {
  return {
    type: 'Issue',
    action: 'create',
    organizationId,
    data: { id: randomUUID(), title: 'an issue' },
    webhookId: randomUUID(),
    webhookTimestamp: Date.now(),
    ...extra,
  }
}

/** An event of GitHub's about an installation itself. */
export function installationEvent(installationId: string, action: string): Sent {
  const body = {
    action,
    installation: { id: Number(installationId), account: { login: 'ada', type: 'User' } },
    sender: { login: 'ada' },
  }
  return sign('github', JSON.stringify(body), { headers: { 'x-github-event': 'installation' } })
}

/** What tells that access to this workspace, installation or team has ended; Notion tells nobody. */
export function endOf(provider: ProviderName, externalId: string): Sent | null {
  switch (provider) {
    case 'github':
      return installationEvent(externalId, 'deleted')
    case 'slack':
      return sign('slack', JSON.stringify(slackEvent(externalId, { type: 'app_uninstalled' })))
    case 'linear':
      return sign(
        'linear',
        JSON.stringify(
          linearEvent(externalId, { type: 'OAuthApp', action: 'revoked', oauthClientId: 'a client' }),
        ),
      )
    case 'notion':
      return null
  }
}

/** An id of the provider's that nobody else is connected to. */
export function newExternalId(provider: ProviderName): string {
  return provider === 'github' ? String(Math.floor(Math.random() * 1e12) + 1) : `T-${randomUUID()}`
}

/** Connects an actor, behind the server's back. */
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

/** A connection as its owner's row has it. */
export async function readConnection(house: House, id: string): Promise<Record<string, unknown>> {
  const { rows } = await house.owner.query('select * from app.connections where id = $1', [id])
  return rows[0]
}

/** The deliveries that mention this text in their payload. */
export async function readDeliveries(house: House, mark: string): Promise<Record<string, unknown>[]> {
  const { rows } = await house.owner.query(
    'select * from app.webhook_deliveries where strpos(payload::text, $1) > 0 order by id',
    [mark],
  )
  return rows
}

/** The events of one connection, oldest first. */
export async function readEvents(house: House, connectionId: string): Promise<Record<string, unknown>[]> {
  const { rows } = await house.owner.query(
    'select * from app.webhook_events where connection_id = $1 order by id',
    [connectionId],
  )
  return rows
}
