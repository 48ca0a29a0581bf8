import { type KeyObject, verify } from 'node:crypto'
import type { ProviderAnswer, ProviderRequest } from './fake-server.ts'

export const DOCS = 'https://docs.github.com/apps/managing-oauth-apps/troubleshooting'
export const JSON_TYPE = { 'x-github-media-type': 'github.v3; format=json' }

export interface FakeRepository {
  readonly id: number
  readonly full_name: string
  readonly private: boolean
  readonly default_branch: string
}

export interface FakeInstallation {
  readonly id: number
  readonly account: { readonly login: string; readonly id: number; readonly type: 'User' | 'Organization' }
  readonly repository_selection: 'all' | 'selected'
  suspended_at: string | null
  readonly repositories: FakeRepository[]
  /** Logins of the people who see it in their own list. */
  readonly visibleTo: Set<string>
}

/** What GitHub says against an app's token; null where it is good. */
export function jwtProblem(
  jwt: string | null,
  app: { readonly id: string; readonly clientId: string; readonly publicKey: KeyObject },
): string | null {
  const [header = '', payload = '', signature = ''] = jwt?.split('.') ?? []
  const claims = decode(payload)
  if (!jwt || decode(header).alg !== 'RS256') return 'A JSON web token could not be decoded'
  const isSigned = verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    app.publicKey,
    Buffer.from(signature, 'base64url'),
  )
  if (!isSigned) return 'A JSON web token could not be decoded'
  const now = Math.floor(Date.now() / 1_000)
  const { iss, iat, exp } = claims
  if (String(iss) !== app.id && iss !== app.clientId) return "'Issuer' claim ('iss') must be the App ID"
  if (typeof iat !== 'number' || iat > now) return "'Issued at' claim ('iat') must be an Integer in the past"
  if (typeof exp !== 'number' || exp <= now) return "'Expiration time' claim ('exp') must be in the future"
  return exp - now > 600 ? "'Expiration time' claim ('exp') is too far in the future" : null
}

/** One page of a list, with the links that GitHub pages by. */
export function page(request: ProviderRequest, name: string, items: readonly object[]): ProviderAnswer {
  const size = Math.min(Number(request.query.get('per_page') ?? 30), 100)
  const number = Number(request.query.get('page') ?? 1)
  const next = new URL(`http://${request.headers.host}${request.path}?per_page=${size}&page=${number + 1}`)
  return {
    status: 200,
    headers: {
      ...JSON_TYPE,
      ...(number * size < items.length ? { link: `<${next.href}>; rel="next"` } : {}),
    },
    body: { total_count: items.length, [name]: items.slice((number - 1) * size, number * size) },
  }
}

export function describeInstallation({
  repositories: _,
  visibleTo: __,
  ...installation
}: FakeInstallation): object {
  return {
    ...installation,
    account: { ...installation.account, avatar_url: `https://avatars.example/${installation.account.login}` },
    target_type: installation.account.type,
    permissions: { contents: 'read', metadata: 'read' },
  }
}

export function describeRepository(repository: FakeRepository): object {
  return {
    ...repository,
    name: repository.full_name.split('/')[1],
    html_url: `https://github.com/${repository.full_name}`,
    description: null,
    archived: false,
  }
}

export function badCredentials(): ProviderAnswer {
  return {
    status: 401,
    body: { message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest' },
  }
}

export function suspended(): ProviderAnswer {
  return { status: 403, body: { message: 'This installation has been suspended', documentation_url: DOCS } }
}

export function notFound(): ProviderAnswer {
  return { status: 404, body: { message: 'Not Found', documentation_url: 'https://docs.github.com/rest' } }
}

function decode(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
