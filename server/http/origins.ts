import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Logger } from '#server/app/logger.ts'
import { AppError } from '#server/rpc/errors.ts'

// A browser adds cookies to whatever page asks. Which page asked is in `Origin`, which pages cannot forge.

export interface OriginConfig {
  readonly appUrl: string
  readonly allowedOrigins: readonly string[]
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * The origins whose pages may call with a visitor's cookie: the app's, the configured ones and, where the app is on this
 * machine, the addresses at which its browsers reach `port`, which the request came in at.
 */
export function allowedOrigins(config: OriginConfig, port: number | undefined): string[] {
  const { origin, hostname } = new URL(config.appUrl)
  const own = LOOPBACK.test(hostname) && port !== undefined ? ['localhost', '127.0.0.1', '[::1]'] : []
  return [origin, ...config.allowedOrigins, ...own.map(host => new URL(`http://${host}:${port}`).origin)]
}

/** Which pages may call, and the refusal of the others. */
export interface Origins {
  /** The error for a request that must be refused; null for one that may pass. */
  refusalOf(req: Request): AppError | null
  /** What lets an allowed page read its answer, and a refused page its refusal; undefined for every other request. */
  headersFor(req: Request): Record<string, string> | undefined
  /** The answer to a preflight's question. */
  preflightHeaders(req: Request): Record<string, string>
}

type Request = Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'socket'>

/** A page of a foreign origin could not read what it asks for below these: it is told so instead. */
const REFUSED_READS = /^\/(trpc|api\/auth)\//
const SAFE_METHODS = new Set<string | undefined>(['GET', 'HEAD', 'OPTIONS'])
const BEARER = /^bearer /i

const EXPOSED = 'set-auth-token, set-two-factor-token, retry-after, x-request-id'
const METHODS = 'GET, POST, PUT'
const PREFLIGHT_MAX_AGE_SECONDS = '600'
/** What a foreign page may send, to be refused: nothing that could be a credential. */
const FOREIGN_HEADERS = 'content-type, last-event-id, trpc-accept, x-organization-id, x-request-id'
const ALLOWED_HEADERS = `authorization, ${FOREIGN_HEADERS}, x-two-factor-token`

/** A refused origin is logged once, with the variable that allows it. */
export function createOrigins(config: OriginConfig, log: Pick<Logger, 'warn'>): Origins {
  const noteRefused = refusedOriginLog(log)
  const allowedByPort = new Map<number | undefined, Set<string>>()

  function isAllowed(origin: string, { socket: { localPort } }: Request): boolean {
    let allowed = allowedByPort.get(localPort)
    if (!allowed) {
      allowed = new Set(allowedOrigins(config, localPort))
      allowedByPort.set(localPort, allowed)
    }
    return allowed.has(origin)
  }

  function refusalOf(req: Request): AppError | null {
    const { method, headers, url = '' } = req
    const { authorization, cookie, origin } = headers
    // A bearer credential wins over the cookie, and no foreign page can make a browser send one: see FOREIGN_HEADERS.
    if (authorization !== undefined && BEARER.test(authorization)) return null
    const isSafe = SAFE_METHODS.has(method)
    if (origin === undefined) return isSafe || cookie === undefined ? null : foreignOrigin(undefined)
    if (isAllowed(origin, req) || (isSafe && !REFUSED_READS.test(url))) return null
    noteRefused(origin)
    return foreignOrigin(origin)
  }

  return {
    refusalOf,
    headersFor(req) {
      const { origin } = req.headers
      if (origin === undefined) return undefined
      if (isAllowed(origin, req)) return { ...readableBy(origin), 'access-control-allow-credentials': 'true' }
      return refusalOf(req) ? readableBy(origin) : undefined
    },
    preflightHeaders(req) {
      const { origin = '' } = req.headers
      const answer = { ...readableBy(origin), 'access-control-allow-methods': METHODS, vary: 'origin' }
      if (!isAllowed(origin, req)) {
        noteRefused(origin)
        return { ...answer, 'access-control-allow-headers': FOREIGN_HEADERS }
      }
      return {
        ...answer,
        'access-control-allow-credentials': 'true',
        'access-control-allow-headers': ALLOWED_HEADERS,
        'access-control-max-age': PREFLIGHT_MAX_AGE_SECONDS,
      }
    },
  }
}

function readableBy(origin: string): Record<string, string> {
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED }
}

export function isPreflight(method: string | undefined, headers: IncomingHttpHeaders): boolean {
  return (
    method === 'OPTIONS' &&
    headers.origin !== undefined &&
    headers['access-control-request-method'] !== undefined
  )
}

function foreignOrigin(origin: string | undefined): AppError {
  const message =
    origin === undefined
      ? 'a call with a cookie that changes something must name an allowed origin'
      : `${shortened(origin)} is not an allowed origin: the operator of this server can add it to ALLOWED_ORIGINS`
  return new AppError('foreign_origin', message)
}

const MAX_LOGGED_ORIGINS = 100
const MAX_ORIGIN_LENGTH = 200

function shortened(origin: string): string {
  return origin.length > MAX_ORIGIN_LENGTH ? `${origin.slice(0, MAX_ORIGIN_LENGTH)}…` : origin
}

/** Logs each origin once. Callers choose what they send, so that the log and its memory end after a hundred. */
function refusedOriginLog(log: Pick<Logger, 'warn'>): (origin: string) => void {
  const logged = new Set<string>()
  return given => {
    const origin = shortened(given)
    if (logged.size > MAX_LOGGED_ORIGINS || logged.has(origin)) return
    logged.add(origin)
    if (logged.size > MAX_LOGGED_ORIGINS) {
      log.warn(`pages of more than ${MAX_LOGGED_ORIGINS} origins were refused; further ones are not logged`)
    } else if (origin === 'null') {
      log.warn('a page without an origin of its own (a file, or a sandboxed frame) was refused')
    } else {
      log.warn({ origin }, `a page of ${origin} was refused; to allow its calls, add it to ALLOWED_ORIGINS`)
    }
  }
}
