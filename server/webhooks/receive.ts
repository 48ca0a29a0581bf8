import { hash } from 'node:crypto'
import type { WebhookSecrets } from '../config/providers.ts'
import type { ProviderName } from '../connections/schema.ts'
import type { SystemDatabase } from '../db/system.ts'
import { AppError } from '../errors.ts'
import { decodeHeader } from '../http/utf8.ts'
import { malformed, parsePayload } from './payload.ts'
import type { WebhookProvider, WebhookRequest } from './provider.ts'
import { verificationTokenOf } from './providers/notion.ts'

export interface WebhookServices {
  readonly system: Pick<SystemDatabase, 'receiveWebhook'>
  readonly secrets: WebhookSecrets
  /** Takes the token with which Notion will sign; null where nobody is setting a subscription up. */
  readonly keepNotionToken: ((token: string) => Promise<void>) | null
  /** Called after something new was stored for somebody. */
  readonly onEvents: () => void
}

const MAX_STORED_HEADER = 200

/**
 * Verifies, reads and stores one request, and returns the text of the answer. What it stores is committed by then. A copy of
 * what is stored already, by its id or by its body, is answered alike. Throws `unauthenticated` where the signature is off.
 */
export async function receiveWebhook(
  services: WebhookServices,
  { name, provider }: { name: ProviderName; provider: WebhookProvider },
  request: WebhookRequest,
): Promise<string> {
  const secret = services.secrets[name]
  if (secret === null) return meetUnconfigured(services, name, request)
  if (!(await provider.verify(request, secret))) {
    throw new AppError('unauthenticated', 'the signature is missing, stale or does not fit the body')
  }
  const bodyHash = hash('sha256', request.body, 'buffer')
  const reading = provider.read({ ...request, bodyHash }, parsePayload(request.body))
  if ('answer' in reading) return reading.answer
  const { eventCount } = await services.system.receiveWebhook({
    provider: name,
    ...reading.delivery,
    bodyHash,
    headers: storedHeaders(provider, request),
  })
  if (eventCount > 0) services.onEvents()
  return ''
}

/** Nothing can be believed yet. Notion alone makes its secret up itself, and tells it to the address that it will call. */
async function meetUnconfigured(
  { keepNotionToken }: WebhookServices,
  name: ProviderName,
  request: WebhookRequest,
): Promise<string> {
  const token = name === 'notion' && keepNotionToken ? verificationTokenOf(parsePayload(request.body)) : null
  if (token === null || keepNotionToken === null) {
    throw new AppError('provider_not_configured', `webhooks of ${name} are not configured`)
  }
  await keepNotionToken(token)
  return ''
}

function storedHeaders(provider: WebhookProvider, request: WebhookRequest): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const header of ['content-type', 'user-agent', ...provider.storedHeaders]) {
    const value = request.header(header)
    if (value === null) continue
    const text = decodeHeader(value)
    if (text === null) throw malformed()
    headers[header] = text.slice(0, MAX_STORED_HEADER).toWellFormed()
  }
  return headers
}
