import type { Client as NotionClient } from '@notionhq/client'
import { z } from 'zod'
import type { Identity } from '#server/db/identity.ts'
import { notion as notionWebhook } from '#server/webhooks/providers/notion.ts'
import { type OAuthApp, readOAuthApp } from '../app.ts'
import { type Provider, ProviderError } from '../provider.ts'
import type { NotionDatabase } from '../schema.ts'
import { readAnswer, retryAt, tokensOf, UPSTREAM_TIMEOUT_MS } from '../upstream.ts'

const PAGE_SIZE = 100
const MAX_PAGES = 5

const issuedTokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).nullish(),
  expires_in: z.number().positive().optional(),
})
const granted = issuedTokens.extend({
  bot_id: z.string().min(1),
  workspace_id: z.string().min(1),
  workspace_name: z.string().nullish(),
  workspace_icon: z.string().nullish(),
})
const richText = z.array(z.object({ plain_text: z.string() }))
const icon = z.object({ type: z.string(), emoji: z.string().optional() }).nullish()
// Since API version 2025-09-03, a database contains data sources, and a search returns those.
const searchPage = z.object({
  results: z.array(
    z.object({
      object: z.string(),
      title: richText.default([]),
      url: z.string().optional(),
      icon,
      parent: z.object({ database_id: z.string().optional() }).default({}),
    }),
  ),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
})
const database = z.object({ id: z.string(), title: richText.default([]), url: z.string().optional(), icon })

/** Notion workspaces, with the token of the bot that the user installed. */
export const notion: Provider = {
  name: 'notion',
  title: 'Notion',
  // Instead of scopes, Notion has capabilities, set at the integration's registration, and pages, chosen by
  // the user.
  scopes: [],
  hasPkce: false,
  isSingle: true,
  webhook: notionWebhook,
  readApp: reader =>
    readOAuthApp(reader, 'NOTION', { apiUrl: 'https://api.notion.com', webUrl: 'https://api.notion.com' }),
  async authorizeUrl({ webUrl, clientId }, { state, redirectUri }) {
    const { OAuth2Client } = await import('arctic')
    const client = new OAuth2Client(clientId, null, redirectUri)
    const url = client.createAuthorizationURL(`${webUrl}/v1/oauth/authorize`, state, [])
    url.searchParams.set('owner', 'user')
    return url
  },
  async exchangeCode(identity, app, { code, redirectUri }) {
    const client = await clientFor(app)
    const answer = await call(identity, () =>
      client.oauth.token({
        client_id: app.clientId,
        client_secret: app.clientSecret,
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirectUri,
      }),
    )
    const grant = readAnswer('notion', granted, answer)
    return {
      ...tokensOf(grant),
      externalId: grant.workspace_id,
      name: grant.workspace_name ?? 'Notion',
      icon: grant.workspace_icon ?? null,
      scopes: [],
      botId: grant.bot_id,
      settings: {},
    }
  },
  async refresh(identity, app, { refreshToken }) {
    if (refreshToken === null) throw new ProviderError('notion', 'revoked', { reason: 'no_refresh_token' })
    const client = await clientFor(app)
    try {
      const answer = await call(identity, () =>
        client.oauth.token({
          client_id: app.clientId,
          client_secret: app.clientSecret,
          grant_type: 'refresh_token',
          refresh_token: refreshToken,
        }),
      )
      const tokens = tokensOf(readAnswer('notion', issuedTokens, answer))
      return { ...tokens, refreshToken: tokens.refreshToken ?? refreshToken }
    } catch (error) {
      if (!isRefused(error, 'invalid_grant')) throw error
      throw new ProviderError('notion', 'revoked', { reason: 'invalid_grant' })
    }
  },
  async revoke(identity, app, { accessToken }) {
    if (accessToken === null) return
    const client = await clientFor(app)
    try {
      await call(identity, () =>
        client.oauth.revoke({
          client_id: app.clientId,
          client_secret: app.clientSecret,
          token: accessToken,
        }),
      )
    } catch (error) {
      if (!isRefused(error, 'invalid_grant') && !isRefused(error, 'invalid_request')) throw error
    }
  },
}

/** Lists the first 500 databases that the bot can access, filtered by title if `search` is set. */
export async function listDatabases(
  identity: Identity,
  app: OAuthApp,
  { accessToken, search }: { accessToken: string; search?: string | undefined },
): Promise<NotionDatabase[]> {
  const client = await clientFor(app, accessToken)
  const found = new Map<string, NotionDatabase>()
  let cursor: string | null = null
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer: unknown = await call(identity, () =>
      client.search({
        filter: { property: 'object', value: 'data_source' },
        page_size: PAGE_SIZE,
        ...(search ? { query: search } : {}),
        ...(cursor === null ? {} : { start_cursor: cursor }),
      }),
    )
    const { results, has_more, next_cursor } = readAnswer('notion', searchPage, answer)
    for (const { parent, ...one } of results) {
      // Lists a database with several data sources once.
      if (parent.database_id && !found.has(parent.database_id))
        found.set(parent.database_id, describe({ id: parent.database_id, ...one }))
    }
    cursor = next_cursor
    if (!has_more || cursor === null) break
  }
  return [...found.values()]
}

/** Throws `refused` with `object_not_found` if the bot cannot access it. */
export async function getDatabase(
  identity: Identity,
  app: OAuthApp,
  { accessToken, databaseId }: { accessToken: string; databaseId: string },
): Promise<NotionDatabase> {
  const client = await clientFor(app, accessToken)
  return describe(
    readAnswer(
      'notion',
      database,
      await call(identity, () => client.databases.retrieve({ database_id: databaseId })),
    ),
  )
}

function describe({ id, title, url, icon }: z.output<typeof database>): NotionDatabase {
  const name = title.map(part => part.plain_text).join('')
  return { id, name: name === '' ? 'Untitled' : name, url: url ?? null, icon: icon?.emoji ?? null }
}

async function clientFor({ apiUrl }: OAuthApp, accessToken?: string): Promise<NotionClient> {
  const { Client: NotionClient } = await import('@notionhq/client')
  return new NotionClient({
    baseUrl: apiUrl,
    ...(accessToken !== undefined && { auth: accessToken }),
    timeoutMs: UPSTREAM_TIMEOUT_MS,
    // No retries: the caller decides whether to try again.
    retry: false,
    // The client would log to the console.
    logger: () => {},
    fetch: (url, init) =>
      fetch(url, {
        ...init,
        redirect: 'error',
        signal: AbortSignal.timeout(UPSTREAM_TIMEOUT_MS),
      } as RequestInit),
  })
}

async function call<T>(_identity: Identity, request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    throw await translate(error)
  }
}

// The client's error contains the whole answer, so it must not become the `cause`.
async function translate(error: unknown): Promise<ProviderError> {
  const { APIResponseError, UnknownHTTPResponseError } = await import('@notionhq/client')
  if (!(error instanceof APIResponseError || error instanceof UnknownHTTPResponseError)) {
    return new ProviderError('notion', 'unreachable')
  }
  const { status } = error
  if (status === 429) return new ProviderError('notion', 'rate_limited', { retryAt: limitEnd(error.headers) })
  if (status >= 500) return new ProviderError('notion', 'unreachable', { reason: `answered ${status}` })
  if (error instanceof APIResponseError) {
    const reason: string = error.code
    return new ProviderError('notion', reason === 'unauthorized' ? 'revoked' : 'refused', { reason })
  }
  // The token endpoint reports errors as RFC 6749 defines them.
  return new ProviderError('notion', 'refused', { reason: oauthReason(error.body) })
}

function limitEnd(headers: unknown): Date {
  return retryAt(headers instanceof Headers ? headers : new Headers())
}

function oauthReason(body: string): string {
  try {
    const { error } = z.object({ error: z.string().regex(/^[a-z_]{1,64}$/) }).parse(JSON.parse(body))
    return error
  } catch {
    return 'unknown'
  }
}

function isRefused(error: unknown, reason: string): boolean {
  return error instanceof ProviderError && error.kind === 'refused' && error.reason === reason
}
