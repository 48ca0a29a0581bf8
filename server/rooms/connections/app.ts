import { z } from 'zod'
import type { ConfigReader } from '#server/app/config/reader.ts'

/** The base URLs of a provider's API and of the pages that a browser opens, without a trailing slash. */
export interface ProviderAddresses {
  readonly apiUrl: string
  readonly webUrl: string
}

/** The operator's OAuth app at a provider. */
export interface OAuthApp extends ProviderAddresses {
  readonly clientId: string
  readonly clientSecret: string
}

/** Reads `<prefix>_CLIENT_ID`, `<prefix>_CLIENT_SECRET` and `<prefix>_API_URL`; null if no app is set. */
export function readOAuthApp(
  reader: ConfigReader,
  prefix: string,
  usual: ProviderAddresses,
): OAuthApp | null {
  const addresses = readAddresses(reader, prefix, usual)
  const pair = reader.readPair(`${prefix}_CLIENT_ID`, `${prefix}_CLIENT_SECRET`)
  return pair === undefined ? null : { clientId: pair[0], clientSecret: pair[1], ...addresses }
}

/**
 * Reads the base URLs. A self-hosted provider (GitHub Enterprise, a test's server) serves API and pages from
 * one origin.
 */
export function readAddresses(
  reader: ConfigReader,
  prefix: string,
  usual: ProviderAddresses,
): ProviderAddresses {
  const apiUrl = reader.read(`${prefix}_API_URL`, {
    schema: baseUrl,
    must: 'an http or https address without a query',
    example: usual.apiUrl,
  })
  return apiUrl === undefined ? usual : { apiUrl, webUrl: new URL(apiUrl).origin }
}

const baseUrl = z.string().transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url && /^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username && !url.password)
    return url.href.replace(/\/+$/, '')
  context.addIssue({ code: 'custom', message: 'must be a URL' })
  return z.NEVER
})
