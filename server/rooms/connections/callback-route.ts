import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Services } from '#server/app/services.ts'
import { scopedDatabase, signIn } from '#server/db/database.ts'
import { SignInError, toAppError } from '#server/db/errors.ts'
import { DEFAULT_TIMEOUT_MS } from '#server/db/scope.ts'
import { TimeBudget } from '#server/db/time-budget.ts'
import { contextFactory } from '#server/rpc/context.ts'
import { type FlowEnd, finishFlow } from './flow.ts'
import { findProvider } from './registry.ts'
import type { ProviderName } from './schema.ts'

const PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Not connected</title>
<p>This link was already used, or its flow was not started in this browser. Go back and connect again.</p>
`

/**
 * Serves `/oauth/:provider/callback`, where a provider redirects the browser. Reads the session cookie and no
 * other credential. Redirects to the flow's `returnTo`, with `?connected=<provider>` or `?error=<word>`.
 */
export function registerCallbackRoute(app: FastifyInstance, services: Services): void {
  const createContext = contextFactory(services)
  app.route({
    method: 'GET',
    url: '/oauth/:provider/callback',
    exposeHeadRoute: false,
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      const provider = findProvider((request.params as { provider: string }).provider)?.name
      if (!provider) return reply.callNotFound()
      const { credential } = createContext({ headers: { cookie: request.headers.cookie } })
      const end = await endFlow(services, { credential, provider, url: request.url })
      // The URL contains a code and a state.
      reply.header('referrer-policy', 'no-referrer').header('cache-control', 'no-store')
      if (end) return reply.redirect(addressOf(end, provider), 303)
      return reply
        .code(400)
        .header('content-type', 'text/html; charset=utf-8')
        .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
        .header('x-content-type-options', 'nosniff')
        .send(PAGE)
    },
  })
}

async function endFlow(
  services: Services,
  { credential, provider, url }: { credential: string | null; provider: ProviderName; url: string },
): Promise<FlowEnd | null> {
  if (credential === null) return null
  const scope = {
    credential,
    organizationId: null,
    permission: 'session',
    isReadOnly: false,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    budget: new TimeBudget(),
  }
  const db = scopedDatabase(services.pools.api, scope)
  const ctx = { db, scope, services, identity: () => signIn(services.pools.api, scope) }
  try {
    return await finishFlow(ctx, provider, new URL(url, services.appUrl).searchParams)
  } catch (error) {
    if (error instanceof SignInError) return null
    throw toAppError(error) ?? error
  }
}

function addressOf({ returnTo, error }: FlowEnd, provider: ProviderName): string {
  const url = new URL(returnTo)
  // Parameters of an earlier flow must not remain.
  for (const word of ['connected', 'error']) url.searchParams.delete(word)
  if (error === null) url.searchParams.set('connected', provider)
  else url.searchParams.set('error', error)
  return url.href
}
