import type { Services } from '#server/app/services.ts'
import type { Identity } from '#server/db/identity.ts'
import { AppError } from '#server/rpc/errors.ts'
import { type CallContext, writerOf } from './call-context.ts'
import { notConfigured } from './failures.ts'
import { revokeUpstream } from './leaving.ts'
import { ProviderError } from './provider.ts'
import { listConnections, storeConnection } from './queries.ts'
import { providerOf } from './registry.ts'
import {
  type Authorize,
  type Connection,
  PROVIDERS,
  type ProviderName,
  type ProviderSummary,
} from './schema.ts'
import { createState, type TakenState, takeState } from './states.ts'

/** Lists the providers. The list is the same for every caller, but requires one. */
export function listProviders(_identity: Identity, { providers }: Services): ProviderSummary[] {
  return PROVIDERS.map(providerOf).map(({ name, scopes }) => ({
    provider: name,
    configured: providers[name] !== null,
    scopes,
  }))
}

export function listOwn({ db, services }: CallContext): Promise<Connection[]> {
  return listConnections(db, services.keyring)
}

/**
 * Starts a flow in the caller's browser, which the provider redirects to `/oauth/<provider>/callback`.
 * Requires the session cookie: a browser that sends its session in a header would arrive at the callback
 * without it.
 */
export async function authorize(
  ctx: CallContext & { readonly isFromCookie: boolean },
  input: Authorize,
): Promise<{ url: string }> {
  const identity = await ctx.identity()
  if (!ctx.isFromCookie) {
    throw new AppError(
      'missing_scope',
      'connecting an account requires the session cookie of the browser that opens authorizeUrl',
    )
  }
  const { services, db } = ctx
  const returnTo = returnAddress(services, input.returnTo ?? '/')
  const provider = providerOf(input.provider)
  const app = services.providers[input.provider]
  if (app === null) throw notConfigured(input.provider)
  const flow = { provider: provider.name, returnTo, hasPkce: provider.hasPkce }
  const started = await createState(db, { keyring: await services.sealingKeyring(), identity }, flow)
  const url = await provider.authorizeUrl(app, {
    ...started,
    redirectUri: callbackUrl(services, provider.name),
  })
  return { url: url.href }
}

function callbackUrl({ appUrl }: Pick<Services, 'appUrl'>, provider: ProviderName): string {
  return `${appUrl}/oauth/${provider}/callback`
}

/**
 * Resolves where the flow may end: a page of this application or of an allowed origin. Throws `invalid_input`
 * for any other URL.
 */
function returnAddress({ appUrl, allowedOrigins }: Services, returnTo: string): string {
  const url = URL.canParse(returnTo, appUrl) ? new URL(returnTo, appUrl) : null
  // A blob URL has the origin of the page that created it.
  const isPage = url !== null && /^https?:$/.test(url.protocol)
  const isAllowed = isPage && (url.origin === new URL(appUrl).origin || allowedOrigins.includes(url.origin))
  if (!isAllowed || url.username !== '' || url.password !== '') {
    throw new AppError(
      'invalid_input',
      'returnTo must be a path of this application or a URL of an allowed origin',
    )
  }
  return url.href
}

/** Why a flow ended without a connection. Stable words: the page at `returnTo` may read them. */
type FlowError =
  | 'expired_state'
  | 'wrong_provider'
  | 'access_denied'
  | 'missing_code'
  | 'installation_requested'
  | 'missing_verifier'
  | 'provider_not_configured'
  | 'provider_refused'
  | 'provider_unreachable'
  | 'rate_limited'

export type FlowEnd = { readonly returnTo: string; readonly error: FlowError | null }

/**
 * Finishes a flow with the query that the provider sent. Returns null if the query has no state of the
 * caller's session: then no redirect is safe.
 */
export async function finishFlow(
  ctx: CallContext,
  provider: ProviderName,
  query: URLSearchParams,
): Promise<FlowEnd | null> {
  const [state, ...others] = query.getAll('state')
  if (!state || others.length > 0) return null
  const identity = await ctx.identity()
  const taken = await takeState(ctx.db, ctx.services.keyring, state)
  if (!taken) return null
  return { returnTo: taken.returnTo, error: await connect(ctx, { identity, provider, query, taken }) }
}

async function connect(
  ctx: CallContext,
  {
    identity,
    provider: name,
    query,
    taken,
  }: {
    identity: Identity
    provider: ProviderName
    query: URLSearchParams
    taken: TakenState
  },
): Promise<FlowError | null> {
  const { services } = ctx
  const provider = providerOf(name)
  if (taken.isExpired) return 'expired_state'
  if (taken.provider !== name) return 'wrong_provider'
  if (query.has('error')) return query.get('error') === 'access_denied' ? 'access_denied' : 'provider_refused'
  const code = query.get('code')
  if (!code) return provider.isRequested?.(query) ? 'installation_requested' : 'missing_code'
  if (provider.hasPkce && taken.codeVerifier === null) return 'missing_verifier'
  const app = services.providers[name]
  if (app === null) return 'provider_not_configured'
  // Fails before the code is exchanged if the tokens could not be sealed.
  const keyring = await services.sealingKeyring()
  try {
    const grant = await provider.exchangeCode(identity, app, {
      code,
      codeVerifier: taken.codeVerifier,
      redirectUri: callbackUrl(services, name),
      query,
    })
    const { credential } = ctx.scope
    const keeper = { keyring, identity, system: services.pools.system, credential }
    const { replaced } = await storeConnection(writerOf(ctx), keeper, { provider: name, grant })
    if (replaced) await revokeUpstream(identity, services, replaced)
    return null
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    services.log.warn({ err: error, provider: name }, 'connecting an account failed')
    return flowErrorOf(error)
  }
}

function flowErrorOf({ kind, reason }: ProviderError): FlowError {
  if (reason === 'installation_requested') return reason
  switch (kind) {
    case 'rate_limited':
      return 'rate_limited'
    case 'unreachable':
      return 'provider_unreachable'
    default:
      return 'provider_refused'
  }
}
