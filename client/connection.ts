import { NoAnswerError } from './errors.ts'

export interface ConnectionOptions {
  /** The server's URL, such as `https://api.example.com`. */
  readonly url: string | URL
  /** A session token or API token, or a function that returns one, called before every request. */
  readonly token?: string | (() => Token | Promise<Token>)
  /** Sends the browser's session cookie instead of a token. The server must allow the page's origin. */
  readonly cookies?: boolean
  /** The organization to act in; the caller must be a member. Defaults to the session's active one. */
  readonly organizationId?: string
  /** Replaces the global `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

type Token = string | null | undefined

/** Sends requests to one server with one credential, in headers or the cookie, never in a URL. */
export interface Connection {
  readonly baseUrl: string
  headers(): Promise<Record<string, string>>
  /** Throws {@link NoAnswerError} if nothing answers; rethrows an abort unchanged. */
  fetch(url: string, init: RequestInit): Promise<Response>
}

export function connect(options: ConnectionOptions): Connection {
  const { token, cookies = false, organizationId } = options
  return {
    baseUrl: baseUrlOf(options.url),
    async headers() {
      const secret = typeof token === 'function' ? await token() : token
      return {
        ...(secret ? { authorization: `Bearer ${secret}` } : {}),
        ...(organizationId === undefined ? {} : { 'x-organization-id': organizationId }),
      }
    },
    async fetch(url, init) {
      const send = options.fetch ?? globalThis.fetch
      try {
        return await send(url, { ...init, credentials: cookies ? 'include' : 'omit' })
      } catch (cause) {
        init.signal?.throwIfAborted()
        const refusal = await withheldRefusal(send, url, init.signal)
        if (refusal) return refusal
        throw new NoAnswerError(`${originOf(url)} is unreachable`, { cause })
      }
    },
  }
}

const PROBE_MS = 5_000

/**
 * Returns the server's refusal of this page's origin, if that is why a call failed. A browser hides answers
 * to calls with a credential from a page that is not allowed, so this sends a request without one, which
 * changes nothing.
 */
async function withheldRefusal(
  send: NonNullable<ConnectionOptions['fetch']>,
  url: string,
  signal: AbortSignal | null | undefined,
): Promise<Response | null> {
  const page = (globalThis as { location?: Location }).location?.origin
  if (page === undefined || page === originOf(url)) return null
  const [address = url] = url.split('?', 1)
  const timeout = AbortSignal.timeout(PROBE_MS)
  try {
    const response = await send(address, {
      credentials: 'omit',
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    const isRefusal = response.status === 403 && (await response.clone().text()).includes('foreign_origin')
    return isRefusal ? response : null
  } catch {
    return null
  }
}

/** Reads an answer's JSON body. Throws {@link NoAnswerError} if it is incomplete or not JSON. */
export async function readJson(response: Response): Promise<unknown> {
  const answered = `${originOf(response.url)} answered ${response.status}`
  let body: string
  try {
    body = await response.text()
  } catch (cause) {
    throw new NoAnswerError(`${answered}, but the answer was cut off`, { response, cause })
  }
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new NoAnswerError(`${answered}, but not like a Rowhouse server: check the URL`, { response, cause })
  }
}

/** The server's URL, even if the URL of the procedures was given. */
function baseUrlOf(url: string | URL): string {
  return String(url)
    .replace(/\/+$/, '')
    .replace(/\/trpc$/, '')
}

/** The origin of a request's URL, without the query, which contains inputs. */
export function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : 'the server'
}
