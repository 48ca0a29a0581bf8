import { AppError } from '#server/rpc/errors.ts'
import { ProviderError } from './provider.ts'
import { providerOf } from './registry.ts'
import type { ProviderName } from './schema.ts'

/** Turns a provider's failure into the error for the caller; returns any other error unchanged. */
export function explain(error: unknown): unknown {
  if (!(error instanceof ProviderError)) return error
  const { provider, kind, reason, retryAt } = error
  const { title } = providerOf(provider)
  const details = { cause: error, ...(retryAt === undefined ? {} : { retryAt }) }
  switch (kind) {
    case 'revoked':
      return connectionRevoked(provider, error)
    case 'rate_limited':
      return new AppError('rate_limited', `${title} is limiting calls: try again later`, details)
    case 'unreachable':
      return new AppError(
        'provider_unreachable',
        `${title} is unreachable or sent an invalid response: try again later`,
        details,
      )
    case 'refused':
      return new AppError(
        'provider_refused',
        `${title} refused the call${reason === undefined ? '' : `: ${reason}`}`,
        details,
      )
  }
}

export function connectionRevoked(provider: ProviderName, cause?: ProviderError): AppError {
  return new AppError(
    'connection_revoked',
    `${providerOf(provider).title} revoked this connection: connect the account again`,
    { cause },
  )
}

export function notConfigured(provider: ProviderName): AppError {
  return new AppError(
    'provider_not_configured',
    `${providerOf(provider).title} is not configured on this server: its operator must register an app and set its variables`,
  )
}
