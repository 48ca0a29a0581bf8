import { decodeHeader, isReadableQuery } from '#server/http/utf8.ts'
import { checkBody, queryProblem } from './endpoint-inputs.ts'
import { type Endpoint, findEndpoint } from './endpoints.ts'
import { toLibraryEmail } from './library-email.ts'
import { refuse } from './response.ts'
import { readSessionCookie, sessionCookieName, verifySessionToken } from './session-token.ts'

export const BASE_PATH = '/api/auth'
const MAX_BODY_BYTES = 64 * 1024

export interface PreparedRequest {
  readonly endpoint: Endpoint
  /** The headers for the library, with at most one session, validly signed. */
  readonly headers: Headers
  readonly body: string | null
  readonly query: URLSearchParams
  /** The body in the form that its endpoint accepts. */
  readonly input: unknown
  /** The mail address in the body, normalised for comparison. */
  readonly email: string | null
  /** The raw token of a validly signed session. */
  readonly sessionToken: string | null
}

/**
 * Checks everything that needs no query: the endpoint, the body's type, size and text, and the session's
 * signature. Returns a refusal if one of them is wrong.
 */
export async function prepareRequest(
  request: Request,
  options: { readonly isSecure: boolean; readonly authSecret: string },
): Promise<PreparedRequest | Response> {
  const url = new URL(request.url)
  const path = url.pathname.startsWith(`${BASE_PATH}/`) ? url.pathname.slice(BASE_PATH.length) : ''
  const endpoint = findEndpoint(request.method, path)
  if (!endpoint) return refuse(404, 'NOT_FOUND', 'Not found')
  if (!isReadableQuery(request.url)) return invalidText()
  if (![...url.searchParams.values()].every(isStorable)) return invalidText()
  // Sessions store the user agent.
  if (decodeHeader(request.headers.get('user-agent') ?? '') === null) return invalidText()

  const wrongQuery = queryProblem(endpoint.path, url.searchParams)
  if (wrongQuery) return refuse(400, wrongQuery.code, wrongQuery.message)

  const text = request.method === 'GET' ? null : await readBody(request)
  if (text instanceof Response) return text
  const parsed = text === null ? undefined : parseJson(text)
  if (parsed instanceof Response) return parsed

  const headers = new Headers(request.headers)
  for (const name of [...headers.keys()]) {
    if (name.startsWith('x-forwarded-') || name === 'forwarded' || name === 'content-length')
      headers.delete(name)
  }
  // Browsers send the site and the mode. Node's fetch sends only the mode, for which the library would
  // require an origin.
  if (!headers.has('sec-fetch-site')) headers.delete('sec-fetch-mode')
  const sessionToken = keepSignedSession(headers, options)
  // A caller without a session does not learn what is wrong with their input.
  const isAnswered = endpoint.needsSession && sessionToken === null
  const checked =
    request.method === 'GET' || isAnswered ? { data: undefined } : checkBody(endpoint.path, parsed)
  if ('problem' in checked) return refuse(400, checked.problem.code, checked.problem.message)
  return {
    endpoint,
    headers,
    body: text === null ? null : JSON.stringify(forLibrary(checked.data)),
    query: url.searchParams,
    input: checked.data,
    email: emailOf(checked.data),
    sessionToken,
  }
}

const EMAIL_FIELDS: readonly string[] = ['email', 'memberIdOrEmail']

function forLibrary(input: unknown): unknown {
  if (typeof input !== 'object' || input === null) return input ?? {}
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => [
      name,
      EMAIL_FIELDS.includes(name) ? toLibraryEmail(String(value)) : value,
    ]),
  )
}

async function readBody(request: Request): Promise<string | null | Response> {
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY_BYTES) return tooLarge()
  const bytes = await request.arrayBuffer()
  if (bytes.byteLength > MAX_BODY_BYTES) return tooLarge()
  if (bytes.byteLength === 0) return null
  // Any page can send a form without a preflight, but not JSON.
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') return refuse(415, 'UNSUPPORTED_MEDIA_TYPE', 'Send application/json')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return invalidText()
  }
}

function parseJson(text: string): unknown | Response {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return refuse(400, 'INVALID_JSON', 'The body is not valid JSON')
  }
  // A list, not recursion: the sender decides how deep a body is.
  const pending = [parsed]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value === 'string' && !isStorable(value)) return invalidText()
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        if (!isStorable(key)) return invalidText()
        pending.push(inner)
      }
    }
  }
  return parsed
}

/** Postgres refuses NUL in text, and silently changes a lone surrogate. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

function emailOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('email' in body)) return null
  return typeof body.email === 'string' ? body.email : null
}

/**
 * Keeps only one session in the headers, and only a validly signed one: the bearer token if there is one,
 * else the cookie. The library would accept either with its own, weaker check.
 */
function keepSignedSession(
  headers: Headers,
  options: { isSecure: boolean; authSecret: string },
): string | null {
  const bearer = /^bearer +(\S+)$/i.exec(headers.get('authorization')?.trim() ?? '')?.[1] ?? null
  const bearerToken = bearer === null ? null : verifySessionToken(bearer, options.authSecret)
  if (bearerToken === null) headers.delete('authorization')

  const cookies = headers.get('cookie')
  const value = bearer === null ? readSessionCookie(cookies, options.isSecure) : null
  const cookieToken = value === null ? null : verifySessionToken(value, options.authSecret)
  if (cookies !== null) {
    const name = sessionCookieName(options.isSecure)
    const others = cookies.split(';').filter(pair => pair.split('=')[0]?.trim() !== name)
    const kept = cookieToken !== null ? [...others, ` ${name}=${value}`] : others
    // Keeps an emptied header, by which the origin check recognises a browser.
    headers.set('cookie', kept.join(';').trim())
  }
  return bearerToken ?? cookieToken
}

function tooLarge(): Response {
  return refuse(413, 'PAYLOAD_TOO_LARGE', `A body may have ${MAX_BODY_BYTES} bytes`)
}

function invalidText(): Response {
  return refuse(
    400,
    'INVALID_INPUT',
    'Text must be valid UTF-8, and may hold neither NUL nor a lone surrogate',
  )
}
