// A `fetch` for tests that behaves as in a browser's page: sends preflights, sends cookies only if asked to,
// and hides answers that the page may not read. https://fetch.spec.whatwg.org/#http-cors-protocol

const SIMPLE_METHODS = new Set(['GET', 'HEAD', 'POST'])
const SIMPLE_HEADERS = new Set(['accept', 'accept-language', 'content-language'])
const SIMPLE_TYPES = /^(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\b/

interface Page {
  readonly origin: string
  /** The cookies of the called server. */
  readonly cookie?: string
}

export function browserFetch({ origin, cookie }: Page) {
  return async (url: string, init: RequestInit): Promise<Response> => {
    const { method = 'GET', credentials } = init
    const isCrossOrigin = new URL(url).origin !== origin
    const hasCredentials = credentials === 'include' || (credentials !== 'omit' && !isCrossOrigin)
    const headers = new Headers(init.headers)
    const unsafe = [...headers].flatMap(([name, value]) => (isSimple(name, value) ? [] : [name]))
    const isAsked = !SIMPLE_METHODS.has(method) || unsafe.length > 0
    if (isCrossOrigin && isAsked) {
      const answer = await fetch(url, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': method,
          'access-control-request-headers': unsafe.sort().join(','),
        },
      })
      const allowed = list(answer, 'access-control-allow-headers')
      const methods = list(answer, 'access-control-allow-methods')
      const isAllowed =
        answer.ok &&
        isReadable(answer, origin, hasCredentials) &&
        (SIMPLE_METHODS.has(method) || methods.includes(method.toLowerCase())) &&
        unsafe.every(name => allowed.includes(name))
      if (!isAllowed) throw new TypeError('Failed to fetch')
    }
    if (isCrossOrigin || method !== 'GET') headers.set('origin', origin)
    if (hasCredentials && cookie !== undefined) headers.set('cookie', cookie)
    const response = await fetch(url, { ...init, headers })
    if (isCrossOrigin && !isReadable(response, origin, hasCredentials)) throw new TypeError('Failed to fetch')
    return response
  }
}

function isSimple(name: string, value: string): boolean {
  return SIMPLE_HEADERS.has(name) || (name === 'content-type' && SIMPLE_TYPES.test(value))
}

function list(response: Response, name: string): string[] {
  return (response.headers.get(name) ?? '').toLowerCase().split(/\s*,\s*/)
}

function isReadable({ headers }: Response, origin: string, hasCredentials: boolean): boolean {
  const allowed = headers.get('access-control-allow-origin')
  if (!hasCredentials) return allowed === '*' || allowed === origin
  return allowed === origin && headers.get('access-control-allow-credentials') === 'true'
}
