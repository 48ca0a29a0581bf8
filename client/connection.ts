import { NoAnswerError } from './errors.ts'

export interface ConnectionOptions {
  /** Where the server answers, such as `https://api.example.com`. */
  readonly url: string | URL
  /** A session's or an API token, or what fetches one; asked before every request. */
  readonly token?: string | (() => Token | Promise<Token>)
  /**
   * Sends the browser's session cookie instead of a token. The page's origin must be one the server allows.
   */
  readonly cookies?: boolean
  /** The organization to act in; the caller must be a member. Without it, the session's active one counts. */
  readonly organizationId?: string
  /** Stands in for the global `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

type Token = string | null | undefined

/**
 * How requests reach one server with one credential. The credential travels in headers or the cookie, never
 * in a URL.
 */
export interface Connection {
  readonly baseUrl: string
  headers(): Promise<Record<string, string>>
  /** Throws {@link NoAnswerError} when nothing answers; an abort stays what it is. */
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
 * The server's refusal of this page's origin, if that is why a call failed. A browser withholds answers to
 * calls with a credential from a page that is not allowed, so this asks again without one, by a request that
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

/**
 * An answer whose JSON body has arrived. Throws {@link NoAnswerError} for a body that is cut off or is not
 * JSON.
 */
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
    throw new NoAnswerError(`${answered}, but not as a Rowhouse server does`, { response, cause })
  }
}

/** The server's address, also where the procedures' own was given. */
function baseUrlOf(url: string | URL): string {
  return String(url)
    .replace(/\/+$/, '')
    .replace(/\/trpc$/, '')
}

/** Where a request went, without what it asked for: inputs are in the query. */
export function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : 'the server'
}
