import { hash } from 'node:crypto'
import type { ProvidersConfig, WebhookSecrets } from '#server/app/config/providers.ts'
import { decodeHeader } from '#server/http/utf8.ts'
import type { Provider } from '#server/rooms/connections/provider.ts'
import { AppError } from '#server/rpc/errors.ts'
import type { SystemDatabase } from '#server/system/system.ts'
import { malformed, parsePayload } from './payload.ts'
import type { WebhookProvider, WebhookRequest } from './provider.ts'

export interface WebhookServices {
  readonly system: Pick<SystemDatabase, 'receiveWebhook'>
  readonly secrets: WebhookSecrets
  readonly providers: ProvidersConfig
  /** Stores the secret that a provider generated and will sign with. */
  readonly keepSecret: (provider: Provider, secret: string) => Promise<void>
  /** Called after new events were stored. */
  readonly onEvents: () => void
}

const MAX_STORED_HEADER = 200

/**
 * Verifies, parses and stores one request, and returns the text of the answer once it is committed. A copy of
 * a stored delivery, by its id or by its body, gets the same answer. Throws `unauthenticated` if the
 * signature is invalid.
 */
export async function receiveWebhook(
  services: WebhookServices,
  provider: Provider,
  request: WebhookRequest,
): Promise<string> {
  const { name, webhook } = provider
  const secret = services.secrets[name]
  if (secret === null) return meetUnconfigured(services, provider, request)
  if (!(await webhook.verify(request, secret))) {
    throw new AppError('unauthenticated', 'the signature is missing, too old, or does not match the body')
  }
  const bodyHash = hash('sha256', request.body, 'buffer')
  const reading = webhook.read({ ...request, bodyHash }, parsePayload(request.body))
  if ('answer' in reading) return reading.answer
  const { eventCount } = await services.system.receiveWebhook({
    provider: name,
    ...reading.delivery,
    bodyHash,
    headers: storedHeaders(webhook, request),
  })
  if (eventCount > 0) services.onEvents()
  return ''
}

/**
 * No delivery is valid before the provider is configured, but the provider may send the secret that it will
 * sign with.
 */
async function meetUnconfigured(
  { providers, keepSecret }: WebhookServices,
  provider: Provider,
  { body }: WebhookRequest,
): Promise<string> {
  const { name, webhook } = provider
  const secret = providers[name] && webhook.secretIn?.(parsePayload(body))
  if (!secret) throw new AppError('provider_not_configured', `webhooks of ${name} are not configured`)
  await keepSecret(provider, secret)
  return ''
}

function storedHeaders(webhook: WebhookProvider, request: WebhookRequest): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const header of ['content-type', 'user-agent', ...webhook.storedHeaders]) {
    const value = request.header(header)
    if (value === null) continue
    const text = decodeHeader(value)
    if (text === null) throw malformed()
    headers[header] = text.slice(0, MAX_STORED_HEADER).toWellFormed()
  }
  return headers
}
