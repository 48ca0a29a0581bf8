import type { Endpoint } from './endpoints.ts'
import { fromLibraryEmail } from './library-email.ts'
import type { PasswordsBusyError } from './password-turns.ts'

/** An answer in the library's shape. */
export function refuse(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, { status, headers: { 'cache-control': 'no-store' } })
}

/** The library's answer to a caller who is not signed in. */
export function nobody(endpoint: Endpoint): Response {
  if (endpoint.path !== '/get-session') return refuse(401, 'UNAUTHORIZED', 'Unauthorized')
  return Response.json(null, { headers: { 'cache-control': 'no-store' } })
}

export function tooManyRequests(retryAfterSeconds: number): Response {
  const response = refuse(429, 'TOO_MANY_REQUESTS', 'Too many requests. Please try again later.')
  response.headers.set('retry-after', String(retryAfterSeconds))
  response.headers.set('x-retry-after', String(retryAfterSeconds))
  return response
}

export function unavailable(): Response {
  const response = refuse(503, 'DATABASE_UNAVAILABLE', 'The database is not available')
  response.headers.set('retry-after', '1')
  return response
}

/** The answer if too many passwords wait to be hashed. */
export function busy({ message, retryAt, retryAfterSeconds }: PasswordsBusyError): Response {
  return Response.json(
    { code: 'SERVICE_UNAVAILABLE', message, reason: 'overloaded', retryAt },
    { status: 503, headers: { 'cache-control': 'no-store', 'retry-after': String(retryAfterSeconds) } },
  )
}

/** Nobody reads this answer; its status is for the log. */
export function clientLeft(): Response {
  return refuse(499, 'CLIENT_CLOSED_REQUEST', 'The caller went away')
}

const ADDRESS_FIELDS: readonly string[] = ['email', 'totpURI']

/** Removes bare session tokens from the library's answer, and adds a body to a failure without one. */
export async function finishResponse(response: Response): Promise<Response> {
  const headers = new Headers(response.headers)
  headers.delete('content-length')
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  const { status } = response
  const text = await response.text()
  if (status >= 500 && text === '') return refuse(status, 'INTERNAL_SERVER_ERROR', 'Something went wrong')
  if (text === '') headers.delete('content-type')
  if (text === '' || !headers.get('content-type')?.includes('json')) {
    return new Response(text || null, { status, headers })
  }
  // Callers need only the signed form, in the cookie and in `set-auth-token`.
  const blanked = JSON.stringify(JSON.parse(text), (key, value) => {
    if (key === 'token') return null
    return ADDRESS_FIELDS.includes(key) && typeof value === 'string' ? fromLibraryEmail(value) : value
  })
  return new Response(blanked, { status, headers })
}
