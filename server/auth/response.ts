import type { Endpoint } from './endpoints.ts'
import { fromLibraryEmail } from './library-email.ts'
import type { PasswordsBusyError } from './password-turns.ts'

/** An answer in the library's shape. */
export function refuse(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, { status, headers: { 'cache-control': 'no-store' } })
}

/** What the library answers to a caller who is not signed in. */
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

/** The passwords that wait to be hashed are as many as can be hashed in a few seconds. */
export function busy({ message, retryAt, retryAfterSeconds }: PasswordsBusyError): Response {
  return Response.json(
    { code: 'SERVICE_UNAVAILABLE', message, reason: 'overloaded', retryAt },
    { status: 503, headers: { 'cache-control': 'no-store', 'retry-after': String(retryAfterSeconds) } },
  )
}

/** There is nobody to read it; the status is what the log shows. */
export function clientLeft(): Response {
  return refuse(499, 'CLIENT_CLOSED_REQUEST', 'The caller went away')
}

const ADDRESS_FIELDS: readonly string[] = ['email', 'totpURI']

/** Blanks bare session tokens in the library's answer, and gives a failure without a body one. */
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
  // Only the signed form, in the cookie and in `set-auth-token`, is of use to anyone.
  const blanked = JSON.stringify(JSON.parse(text), (key, value) => {
    if (key === 'token') return null
    return ADDRESS_FIELDS.includes(key) && typeof value === 'string' ? fromLibraryEmail(value) : value
  })
  return new Response(blanked, { status, headers })
}
