import { AppError } from '../errors.ts'
import { ProviderError } from './provider.ts'
import type { ProviderName } from './schema.ts'

/** How each provider is written. */
export const TITLES: Readonly<Record<ProviderName, string>> = {
  notion: 'Notion',
  github: 'GitHub',
  slack: 'Slack',
  linear: 'Linear',
}

/** What a provider's failure is to the caller; everything else stays what it is. */
export function explain(error: unknown): unknown {
  if (!(error instanceof ProviderError)) return error
  const { provider, kind, reason, retryAt } = error
  const title = TITLES[provider]
  const details = { cause: error, ...(retryAt === undefined ? {} : { retryAt }) }
  switch (kind) {
    case 'revoked':
      return connectionRevoked(provider, error)
    case 'rate_limited':
      return new AppError('rate_limited', `${title} takes no more calls for now`, details)
    case 'unreachable':
      return new AppError(
        'provider_unreachable',
        `${title} can't be reached, or gave no proper answer`,
        details,
      )
    case 'refused':
      return new AppError(
        'provider_refused',
        `${title} refused this${reason === undefined ? '' : `: ${reason}`}`,
        details,
      )
  }
}

export function connectionRevoked(provider: ProviderName, cause?: ProviderError): AppError {
  return new AppError(
    'connection_revoked',
    `${TITLES[provider]} has ended this connection: connect the account again`,
    { cause },
  )
}

export function notConfigured(provider: ProviderName): AppError {
  return new AppError(
    'provider_not_configured',
    `${TITLES[provider]} is not set up on this server: its operator registers an app there and sets its variables`,
  )
}
