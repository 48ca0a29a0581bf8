import { randomBytes } from 'node:crypto'
import {
  basicOf,
  bearerOf,
  openFakeServer,
  type ProviderAnswer,
  type ProviderControls,
  type ProviderRequest,
  parametersOf,
  redirect,
} from './fake-server.ts'
import { createGrants, type Grant, type Grants } from './grants.ts'

interface FakeChannel {
  readonly id: string
  readonly name: string
  readonly is_private: boolean
  readonly is_member: boolean
  readonly is_archived: boolean
}

/** A workspace, with the person who allows the application into it. */
export interface FakeTeam {
  readonly id: string
  readonly name: string
  readonly userId: string
  readonly botUserId: string
  readonly channels: FakeChannel[]
}

interface Subject {
  readonly team: FakeTeam
  readonly scope: string
}

export interface FakeSlack extends ProviderControls {
  readonly clientId: string
  readonly clientSecret: string
  readonly teams: readonly FakeTeam[]
  readonly tokens: Grants<Subject>
  addTeam(team: { name: string; channels?: number }): FakeTeam
  /** Which workspace the browser allows next; null declines. */
  browse(team: FakeTeam | null): void
  /** What every token of a workspace answers from now on, such as `account_inactive`. */
  breakTokens(error: string): void
}

const ROTATION_SECONDS = 43_200

/** Slack with one app: installing by OAuth v2, token rotation, and the Web API methods that a bot needs. */
export async function openFakeSlack(options: { callbackUrls: readonly string[] }): Promise<FakeSlack> {
  const clientId = '3141592653.2718281828459'
  const clientSecret = randomBytes(16).toString('hex')
  const teams: FakeTeam[] = []
  const tokens = createGrants<Subject>({
    newAccessToken: () => `xoxe.xoxb-1-${randomBytes(40).toString('base64url')}`,
    newRefreshToken: () => `xoxe-1-${randomBytes(40).toString('base64url')}`,
    lifetimeSeconds: ROTATION_SECONDS,
  })
  let chosen: FakeTeam | null = null
  let breakage: string | null = null

  function authorizePage({ query }: ProviderRequest): ProviderAnswer {
    const to = query.get('redirect_uri') ?? ''
    const scope = query.get('scope') ?? ''
    if (query.get('client_id') !== clientId) return { status: 200, body: 'Invalid client_id parameter' }
    if (!options.callbackUrls.includes(to))
      return { status: 200, body: 'redirect_uri did not match any configured URIs.' }
    if (!scope) return { status: 200, body: 'No scopes requested' }
    if (!chosen) return redirect(to, { error: 'access_denied', state: query.get('state') })
    const code = tokens.issueCode(
      { team: chosen, scope },
      { redirectUri: to, challenge: query.get('code_challenge') },
    )
    return redirect(to, { code, state: query.get('state') })
  }

  function access(request: ProviderRequest): ProviderAnswer {
    const body = parametersOf(request)
    const basic = basicOf(request)
    if ((basic?.id ?? body.get('client_id')) !== clientId) return refuse('invalid_client_id')
    if ((basic?.secret ?? body.get('client_secret')) !== clientSecret) return refuse('bad_client_secret')
    const grantType = body.get('grant_type') ?? 'authorization_code'
    if (grantType === 'refresh_token') {
      const grant = tokens.refresh(body.get('refresh_token'))
      return grant ? issued(grant) : refuse('invalid_refresh_token')
    }
    if (grantType !== 'authorization_code') return refuse('invalid_grant_type')
    const grant = tokens.redeem(body.get('code'), {
      redirectUri: body.get('redirect_uri'),
      verifier: body.get('code_verifier'),
    })
    if (grant === 'wrong_redirect') return refuse('bad_redirect_uri')
    if (grant === 'wrong_verifier') return refuse('invalid_code_verifier')
    return grant === 'unknown_code' ? refuse('invalid_code') : issued(grant)
  }

  function issued({ subject: { team, scope }, ...grant }: Grant<Subject>): ProviderAnswer {
    const rotation =
      grant.refreshToken === null
        ? {}
        : {
            refresh_token: grant.refreshToken,
            expires_in: Math.round((grant.expiresAtMs - Date.now()) / 1_000),
          }
    return ok({
      app_id: 'A0FAKESLACK',
      authed_user: { id: team.userId },
      scope,
      token_type: 'bot',
      access_token: grant.accessToken,
      bot_user_id: team.botUserId,
      ...rotation,
      team: { id: team.id, name: team.name },
      enterprise: null,
      is_enterprise_install: false,
    })
  }

  /** Whose token it is, or the error that Slack gives for it. */
  function authenticate(request: ProviderRequest): Grant<Subject> | string {
    const value = bearerOf(request) ?? parametersOf(request).get('token')
    if (!value) return 'not_authed'
    if (breakage) return breakage
    const grant = tokens.findAny(value)
    if (!grant || grant.accessToken !== value) return 'invalid_auth'
    if (grant.isRevoked) return 'token_revoked'
    return tokens.find(value) ? grant : 'token_expired'
  }

  function method(request: ProviderRequest, name: string): ProviderAnswer {
    const grant = authenticate(request)
    if (typeof grant === 'string') return refuse(grant)
    const { team, scope } = grant.subject
    if (name === 'auth.test') {
      return ok({
        url: `https://${team.name.toLowerCase()}.slack.com/`,
        team: team.name,
        user: 'rowhouse',
        team_id: team.id,
        user_id: team.botUserId,
        bot_id: 'B0FAKESLACK',
        is_enterprise_install: false,
      })
    }
    if (name === 'auth.revoke') {
      grant.isRevoked = true
      return ok({ revoked: true })
    }
    if (name === 'conversations.list') return channels(request, team, scope)
    return refuse('unknown_method')
  }

  function channels(request: ProviderRequest, team: FakeTeam, scope: string): ProviderAnswer {
    const body = parametersOf(request)
    const types = (body.get('types') ?? 'public_channel').split(',')
    const scopes = scope.split(',')
    const needed = types.includes('private_channel') ? 'groups:read' : 'channels:read'
    if (!scopes.includes(needed))
      return { status: 200, body: { ok: false, error: 'missing_scope', needed, provided: scope } }
    const limit = Number(body.get('limit') ?? 100)
    if (!(limit >= 1 && limit <= 1_000)) return refuse('invalid_limit')
    const cursor = body.get('cursor') ?? ''
    const start =
      cursor === '' ? 0 : Number(/^team:(\d+)$/.exec(Buffer.from(cursor, 'base64').toString())?.[1])
    if (!Number.isInteger(start)) return refuse('invalid_cursor')
    const fitting = team.channels.filter(
      channel =>
        types.includes(channel.is_private ? 'private_channel' : 'public_channel') &&
        !(channel.is_archived && body.get('exclude_archived') === 'true'),
    )
    const end = start + limit
    return ok({
      channels: fitting.slice(start, end).map(channel => ({ ...channel, is_channel: true, num_members: 3 })),
      response_metadata: {
        next_cursor: end < fitting.length ? Buffer.from(`team:${end}`).toString('base64') : '',
      },
    })
  }

  const server = await openFakeServer({
    answer(request) {
      if (request.method === 'GET' && request.path === '/oauth/v2/authorize') return authorizePage(request)
      const name = /^\/api\/([\w.]+)$/.exec(request.path)?.[1]
      if (!name) return { status: 404, body: 'Not found' }
      return name === 'oauth.v2.access' ? access(request) : method(request, name)
    },
    limited: retryAfterSeconds => ({
      status: 429,
      headers: { 'retry-after': String(retryAfterSeconds) },
      body: { ok: false, error: 'ratelimited' },
    }),
  })

  return {
    ...server,
    clientId,
    clientSecret,
    teams,
    tokens,
    addTeam({ name, channels: count = 3 }) {
      const serial = String(teams.length).padStart(3, '0')
      const team: FakeTeam = {
        id: `T0FAKE${serial}`,
        name,
        userId: `U0FAKE${serial}`,
        botUserId: `U0BOT${serial}`,
        channels: Array.from({ length: count }, (_, index) => ({
          id: `C0${String(index).padStart(8, '0')}`,
          name: `channel-${index}`,
          is_private: index % 3 === 2,
          is_member: index % 2 === 0,
          is_archived: false,
        })),
      }
      teams.push(team)
      chosen ??= team
      return team
    },
    browse(team) {
      chosen = team
    },
    breakTokens(error) {
      breakage = error
    },
  }
}

function ok(fields: object): ProviderAnswer {
  return { status: 200, body: { ok: true, ...fields } }
}

function refuse(error: string): ProviderAnswer {
  return { status: 200, body: { ok: false, error } }
}
