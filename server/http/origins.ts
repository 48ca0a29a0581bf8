import type { IncomingHttpHeaders } from 'node:http'

// A browser adds cookies to whatever page asks. Which page asked is in `Origin`, which pages cannot forge.

export type Origins = ReadonlySet<string>

/** The origins whose pages may change something with a visitor's cookie: the app's own and the configured ones. */
export function readOrigins(appUrl: string, allowedOrigins: readonly string[]): Origins {
  return new Set([appUrl, ...allowedOrigins].map(url => new URL(url).origin))
}

const BEARER = /^bearer /i

/**
 * Whether a call that changes something must be refused: it carries a cookie and does not come from an allowed
 * origin, or does not say where it comes from. A bearer credential wins over the cookie, and no page can make a
 * browser add one.
 */
export function isForeignCall(
  method: string | undefined,
  headers: IncomingHttpHeaders,
  origins: Origins,
): boolean {
  if (headers.cookie === undefined || method === 'GET' || method === 'HEAD' || method === 'OPTIONS')
    return false
  const { authorization, origin } = headers
  if (authorization !== undefined && BEARER.test(authorization)) return false
  return origin === undefined || !origins.has(origin)
}

const EXPOSED = 'set-auth-token, set-two-factor-token, retry-after, x-request-id'
const PREFLIGHT_MAX_AGE_SECONDS = '600'
const ALLOWED_HEADERS =
  'authorization, content-type, last-event-id, trpc-accept, x-organization-id, x-request-id, x-two-factor-token'

/** What lets pages of an allowed origin read an answer; undefined for the others and for callers without one. */
export function corsHeaders(
  origin: string | undefined,
  origins: Origins,
): Record<string, string> | undefined {
  if (origin === undefined || !origins.has(origin)) return undefined
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': EXPOSED,
  }
}

export function isPreflight(method: string | undefined, headers: IncomingHttpHeaders): boolean {
  return (
    method === 'OPTIONS' &&
    headers.origin !== undefined &&
    headers['access-control-request-method'] !== undefined
  )
}

/** The answer to a preflight's question; a foreign origin gets none of the permissions. */
export function preflightHeaders(origin: string | undefined, origins: Origins): Record<string, string> {
  const cors = corsHeaders(origin, origins)
  if (cors === undefined) return { vary: 'origin' }
  return {
    ...cors,
    'access-control-allow-methods': 'GET, POST, PUT',
    'access-control-allow-headers': ALLOWED_HEADERS,
    'access-control-max-age': PREFLIGHT_MAX_AGE_SECONDS,
    vary: 'origin',
  }
}
