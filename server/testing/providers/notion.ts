import { randomBytes, randomUUID } from 'node:crypto'
import {
  basicOf,
  bearerOf,
  jsonOf,
  openFakeServer,
  type ProviderAnswer,
  type ProviderControls,
  type ProviderRequest,
  redirect,
} from './fake-server.ts'
import { createGrants, type Grant, type Grants } from './grants.ts'

interface FakeDatabase {
  readonly id: string
  readonly dataSourceId: string
  readonly title: string
}

interface FakeWorkspace {
  readonly id: string
  readonly name: string
  readonly botId: string
  readonly databases: FakeDatabase[]
}

export interface FakeNotion extends ProviderControls {
  readonly clientId: string
  readonly clientSecret: string
  readonly workspaces: readonly FakeWorkspace[]
  readonly tokens: Grants<FakeWorkspace>
  addWorkspace(workspace: { name: string; databases?: readonly string[] }): FakeWorkspace
  /** Which workspace the browser allows next; null declines. */
  browse(workspace: FakeWorkspace | null): void
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
/** From this version on databases have data sources, which is what a search finds. */
const DATA_SOURCES_VERSION = '2025-09-03'

/** Notion with one public integration: its OAuth, search, and databases. */
export async function openFakeNotion(options: { callbackUrls: readonly string[] }): Promise<FakeNotion> {
  const clientId = randomUUID()
  const clientSecret = `secret_${randomBytes(24).toString('hex')}`
  const workspaces: FakeWorkspace[] = []
  // Notion says no lifetime for its access tokens, and hands a refresh token out all the same.
  const tokens = createGrants<FakeWorkspace>({
    newAccessToken: () => `ntn_${randomBytes(23).toString('hex')}`,
    newRefreshToken: () => `nrt_${randomBytes(23).toString('hex')}`,
    lifetimeSeconds: 365 * 86_400,
  })
  let chosen: FakeWorkspace | null = null

  function authorizePage({ query }: ProviderRequest): ProviderAnswer {
    const to = query.get('redirect_uri') ?? ''
    if (query.get('client_id') !== clientId || !options.callbackUrls.includes(to)) {
      return { status: 400, body: 'Missing or invalid redirect_uri.' }
    }
    if (query.get('response_type') !== 'code' || query.get('owner') !== 'user') {
      return { status: 400, body: 'response_type must be code, and owner must be user.' }
    }
    if (!chosen) return redirect(to, { error: 'access_denied', state: query.get('state') })
    const code = tokens.issueCode(chosen, { redirectUri: to, challenge: null })
    return redirect(to, { code, state: query.get('state') })
  }

  function token(request: ProviderRequest): ProviderAnswer {
    if (!isClient(request)) return oauthError(401, 'invalid_client')
    const { grant_type, code, redirect_uri, refresh_token } = jsonOf(request)
    if (grant_type === 'refresh_token') {
      const grant = tokens.refresh(text(refresh_token))
      return grant ? issued(grant) : oauthError(400, 'invalid_grant')
    }
    if (grant_type !== 'authorization_code') return oauthError(400, 'unsupported_grant_type')
    const grant = tokens.redeem(text(code), { redirectUri: text(redirect_uri), verifier: undefined })
    return typeof grant === 'string' ? oauthError(400, 'invalid_grant') : issued(grant)
  }

  function revoke(request: ProviderRequest): ProviderAnswer {
    if (!isClient(request)) return oauthError(401, 'invalid_client')
    const grant = tokens.findAny(text(jsonOf(request).token))
    if (!grant) return oauthError(400, 'invalid_grant')
    grant.isRevoked = true
    return { status: 200, body: { request_id: randomUUID() } }
  }

  function introspect(request: ProviderRequest): ProviderAnswer {
    if (!isClient(request)) return oauthError(401, 'invalid_client')
    const isActive = tokens.find(text(jsonOf(request).token)) !== null
    return { status: 200, body: { active: isActive, request_id: randomUUID() } }
  }

  function isClient(request: ProviderRequest): boolean {
    const basic = basicOf(request)
    const isJson = request.headers['content-type']?.startsWith('application/json') === true
    return isJson && basic?.id === clientId && basic.secret === clientSecret
  }

  function api(request: ProviderRequest): ProviderAnswer {
    const version = request.headers['notion-version']
    if (typeof version !== 'string') {
      return apiError(400, 'missing_version', 'Notion-Version header should be defined.')
    }
    const grant = tokens.find(bearerOf(request))
    if (!grant) return apiError(401, 'unauthorized', 'API token is invalid.')
    const { path, method } = request
    const hasDataSources = version >= DATA_SOURCES_VERSION
    if (method === 'POST' && path === '/v1/search') return search(request, grant.subject, hasDataSources)
    const [, kind, id = ''] = /^\/v1\/(databases|data_sources)\/([^/]+)$/.exec(path) ?? []
    if (!kind || method !== 'GET') return apiError(400, 'invalid_request_url', 'Invalid request URL.')
    if (!UUID.test(id))
      return apiError(400, 'validation_error', `path failed validation: path.id should be a valid uuid.`)
    const database = grant.subject.databases.find(one =>
      sameId(kind === 'databases' ? one.id : one.dataSourceId, id),
    )
    if (!database) return apiError(404, 'object_not_found', `Could not find database with ID: ${id}.`)
    return {
      status: 200,
      body: kind === 'databases' ? describeDatabase(database) : describeDataSource(database),
    }
  }

  function search(
    request: ProviderRequest,
    workspace: FakeWorkspace,
    hasDataSources: boolean,
  ): ProviderAnswer {
    const { query, filter, start_cursor, page_size = 100 } = jsonOf(request)
    const kind = hasDataSources ? 'data_source' : 'database'
    if (
      filter !== undefined &&
      !(isObject(filter) && filter.property === 'object' && filter.value === kind)
    ) {
      return apiError(400, 'validation_error', `body.filter.value should be "page" or "${kind}".`)
    }
    if (typeof page_size !== 'number' || page_size < 1 || page_size > 100) {
      return apiError(400, 'validation_error', 'body.page_size should be 1 to 100.')
    }
    const words = text(query)?.toLowerCase() ?? ''
    const found = workspace.databases.filter(one => one.title.toLowerCase().includes(words))
    const start = start_cursor === undefined ? 0 : found.findIndex(one => one.dataSourceId === start_cursor)
    if (start < 0) return apiError(400, 'validation_error', 'The start_cursor provided is invalid.')
    const end = start + page_size
    return {
      status: 200,
      body: {
        object: 'list',
        type: 'page_or_data_source',
        page_or_data_source: {},
        results: found.slice(start, end).map(hasDataSources ? describeDataSource : describeDatabase),
        has_more: end < found.length,
        next_cursor: found[end]?.dataSourceId ?? null,
        request_id: randomUUID(),
      },
    }
  }

  const server = await openFakeServer({
    answer(request) {
      const endpoint = `${request.method} ${request.path}`
      if (endpoint === 'GET /v1/oauth/authorize') return authorizePage(request)
      if (endpoint === 'POST /v1/oauth/token') return token(request)
      if (endpoint === 'POST /v1/oauth/revoke') return revoke(request)
      if (endpoint === 'POST /v1/oauth/introspect') return introspect(request)
      return api(request)
    },
    limited: retryAfterSeconds => ({
      ...apiError(429, 'rate_limited', 'You have been rate limited. Please try again in a few minutes.'),
      headers: { 'retry-after': String(retryAfterSeconds) },
    }),
  })

  return {
    ...server,
    clientId,
    clientSecret,
    workspaces,
    tokens,
    addWorkspace({ name, databases = ['Roadmap', 'Bugs'] }) {
      const workspace: FakeWorkspace = {
        id: randomUUID(),
        name,
        botId: randomUUID(),
        databases: databases.map(title => ({ id: randomUUID(), dataSourceId: randomUUID(), title })),
      }
      workspaces.push(workspace)
      chosen ??= workspace
      return workspace
    },
    browse(workspace) {
      chosen = workspace
    },
  }
}

function issued({ subject, accessToken, refreshToken }: Grant<FakeWorkspace>): ProviderAnswer {
  return {
    status: 200,
    body: {
      access_token: accessToken,
      token_type: 'bearer',
      refresh_token: refreshToken,
      bot_id: subject.botId,
      workspace_id: subject.id,
      workspace_name: subject.name,
      workspace_icon: `https://icons.example/${subject.id}.png`,
      owner: { type: 'user', user: { object: 'user', id: randomUUID() } },
      duplicated_template_id: null,
      request_id: randomUUID(),
    },
  }
}

function describeDatabase(database: FakeDatabase): object {
  return {
    object: 'database',
    id: database.id,
    title: richText(database.title),
    description: [],
    parent: { type: 'workspace', workspace: true },
    is_inline: false,
    in_trash: false,
    archived: false,
    created_time: '2026-01-01T00:00:00.000Z',
    last_edited_time: '2026-01-01T00:00:00.000Z',
    data_sources: [{ id: database.dataSourceId, name: database.title }],
    icon: null,
    cover: null,
    url: `https://www.notion.so/${database.id.replaceAll('-', '')}`,
    public_url: null,
  }
}

function describeDataSource(database: FakeDatabase): object {
  return {
    object: 'data_source',
    id: database.dataSourceId,
    title: richText(database.title),
    description: [],
    parent: { type: 'database_id', database_id: database.id },
    database_parent: { type: 'workspace', workspace: true },
    in_trash: false,
    archived: false,
    created_time: '2026-01-01T00:00:00.000Z',
    last_edited_time: '2026-01-01T00:00:00.000Z',
    properties: {},
    icon: null,
    cover: null,
    url: `https://www.notion.so/${database.id.replaceAll('-', '')}`,
    public_url: null,
  }
}

function richText(content: string): object[] {
  return [{ type: 'text', text: { content, link: null }, annotations: {}, plain_text: content, href: null }]
}

function apiError(status: number, code: string, message: string): ProviderAnswer {
  return { status, body: { object: 'error', status, code, message, request_id: randomUUID() } }
}

function oauthError(status: number, error: string): ProviderAnswer {
  return { status, body: { error, request_id: randomUUID() } }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function sameId(one: string, other: string): boolean {
  return one.replaceAll('-', '') === other.replaceAll('-', '').toLowerCase()
}
