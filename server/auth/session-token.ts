// The signed form of a session token, `token.signature`: the value of a cookie and of a bearer token. Better
// Auth signs in the same way. Nothing here sends a query, so garbage costs none.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

const COOKIE_NAME = 'better-auth.session_token'

/** SHA-256 of a token, in hex: sent to the database with a statement. */
export function digestSessionToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex')
}

/**
 * SHA-256 of the digest's 32 bytes, in hex: the value of `auth.sessions.token`. Neither hash signs anyone in.
 */
export function storedSessionToken(token: string): string {
  const digest = createHash('sha256').update(token, 'utf8').digest()
  return createHash('sha256').update(digest).digest('hex')
}

function signatureOf(token: string, secret: string): string {
  return createHmac('sha256', secret).update(token, 'utf8').digest('base64')
}

/** Signs a raw token; the result is not percent-encoded. */
export function signSessionToken(token: string, secret: string): string {
  return `${token}.${signatureOf(token, secret)}`
}

/**
 * Returns the raw token of a signed one, or null if the signature is missing or wrong. Also accepts the
 * percent-encoded form of cookies. Compares signatures as text, since base64 has several spellings for the
 * same bytes.
 */
export function verifySessionToken(signed: string, secret: string): string | null {
  const text = signed.includes('%') ? percentDecode(signed) : signed
  const dot = text.lastIndexOf('.')
  if (dot < 1) return null
  const token = text.slice(0, dot)
  const given = Buffer.from(text.slice(dot + 1), 'utf8')
  const expected = Buffer.from(signatureOf(token, secret), 'utf8')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null
  return token
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The cookie's name; over https with the prefix that makes browsers refuse it from an insecure page. */
export function sessionCookieName(isSecure: boolean): string {
  return isSecure ? `__Secure-${COOKIE_NAME}` : COOKIE_NAME
}

/** The session cookie's value as it was sent (perhaps percent-encoded), or null. */
export function readSessionCookie(cookieHeader: string | undefined | null, isSecure: boolean): string | null {
  return readCookie(cookieHeader, sessionCookieName(isSecure))
}

/** A cookie's value as it was sent (perhaps percent-encoded), or null. Of several, the first counts. */
export function readCookie(cookieHeader: string | undefined | null, name: string): string | null {
  if (!cookieHeader) return null
  for (const pair of cookieHeader.split(';')) {
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue
    const value = pair.slice(equals + 1).trim()
    return value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value
  }
  return null
}

export interface SessionCookieOptions {
  readonly isSecure: boolean
  /** Undefined for a cookie that ends with the browser's session. */
  readonly maxAgeSeconds?: number
  /** The path that the browser sends it to; every path by default. */
  readonly path?: string
}

/** A `set-cookie` value with the attributes of Better Auth's own cookies. */
export function serializeSessionCookie(signed: string, options: SessionCookieOptions): string {
  return serializeCookie(sessionCookieName(options.isSecure), signed, options)
}

/** The same for any signed cookie. */
export function serializeCookie(name: string, signed: string, options: SessionCookieOptions): string {
  const parts = [`${name}=${encodeURIComponent(percentDecode(signed))}`]
  if (options.maxAgeSeconds !== undefined) parts.push(`Max-Age=${Math.floor(options.maxAgeSeconds)}`)
  parts.push(`Path=${options.path ?? '/'}`, 'HttpOnly')
  if (options.isSecure) parts.push('Secure')
  parts.push('SameSite=Lax')
  return parts.join('; ')
}
