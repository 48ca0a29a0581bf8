import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Services } from '#server/app/services.ts'
import { readSessionCookie, serializeSessionCookie, verifySessionToken } from '#server/auth/session-token.ts'
import { credentialOf, genuinePrefix, hasSecretPrefix } from '#server/crypto/bearer-secrets.ts'
import { scopedDatabase, touchCredential } from '#server/db/database.ts'
import { DEFAULT_TIMEOUT_MS } from '#server/db/scope.ts'

/** What a request presents, and nothing that was looked up. */
export interface Context {
  readonly services: Services
  /** `s:`, `t:` or `l:` and the SHA-256 of the secret; null where none was presented, or none that could be genuine. */
  readonly credential: string | null
  /** Whether the credential is a browser's session cookie. */
  readonly isFromCookie: boolean
  /** Whether the caller holds the operator's worker key, which is no user's credential. */
  readonly isOperator: boolean
  readonly organizationId: string | null
  readonly signal: AbortSignal | undefined
  readonly ipAddress: string | undefined
  /** Runs work that waits elsewhere, in a queue or on another process, which takes no capacity from other calls meanwhile. */
  readonly aside: <T>(work: () => Promise<T>) => Promise<T>
  /** Notes that the credential's last use is to be recorded, and whether its session is to be prolonged. */
  noteTouchDue(isSlideDue: boolean): void
  /** Headers that the procedures' outcome adds to the answer. */
  takeResponseHeaders(): Record<string, string> | undefined
  /** Does what may wait until the caller has its answer. */
  afterAnswer(): void
}

export interface ContextInput {
  readonly headers: Pick<IncomingHttpHeaders, 'authorization' | 'cookie'> & {
    'x-organization-id'?: string | string[]
  }
  readonly signal?: AbortSignal | undefined
  readonly ipAddress?: string | undefined
  readonly aside?: Context['aside']
}

const SESSION_SECONDS = 7 * 24 * 60 * 60
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
/** Stands for an organization header that names none: nobody is a member of it. */
const NO_ORGANIZATION = '00000000-0000-0000-0000-000000000000'

class RequestContext implements Context {
  readonly services: Services
  readonly credential: string | null
  readonly isFromCookie: boolean
  readonly isOperator: boolean
  readonly organizationId: string | null
  readonly signal: AbortSignal | undefined
  readonly ipAddress: string | undefined
  readonly aside: Context['aside']
  readonly #cookie: string | null
  readonly #hasAnswer: boolean
  #isTouchDue = false
  #isSlideDue = false

  constructor(services: Services, input: ContextInput, hasAnswer: boolean) {
    const { headers } = input
    this.services = services
    this.signal = input.signal
    this.ipAddress = input.ipAddress
    this.aside = input.aside ?? (work => work())
    this.#hasAnswer = hasAnswer
    this.organizationId = organizationOf(headers['x-organization-id'])
    // A bearer credential wins over the cookie, even one that is not genuine: the caller chose to present it.
    this.#cookie =
      headers.authorization === undefined ? readSessionCookie(headers.cookie, services.isSecure) : null
    const secret = headers.authorization === undefined ? null : bearerSecret(headers.authorization)
    this.isOperator = secret !== null && services.workerKey !== null && isSame(secret, services.workerKey)
    this.credential =
      headers.authorization === undefined
        ? sessionCredential(this.#cookie, services.authSecret)
        : secretCredential(secret, services.authSecret)
    this.isFromCookie = headers.authorization === undefined && this.credential !== null
  }

  noteTouchDue = (isSlideDue: boolean): void => {
    this.#isTouchDue = true
    this.#isSlideDue ||= isSlideDue
    if (!this.#hasAnswer) setImmediate(() => this.afterAnswer())
  }

  takeResponseHeaders(): Record<string, string> | undefined {
    if (!this.#isSlideDue || this.#cookie === null) return undefined
    const { isSecure } = this.services
    return {
      'set-cookie': serializeSessionCookie(this.#cookie, { isSecure, maxAgeSeconds: SESSION_SECONDS }),
    }
  }

  afterAnswer(): void {
    if (!this.#isTouchDue || this.credential === null) return
    this.#isTouchDue = false
    const { services, credential } = this
    const scope = {
      credential,
      organizationId: null,
      permission: 'any',
      isReadOnly: false,
      timeoutMs: DEFAULT_TIMEOUT_MS,
    }
    touchCredential(scopedDatabase(services.pools.api, scope)).catch(error => {
      services.log.warn({ err: error }, 'the use of a credential could not be noted')
    })
  }
}

/** Makes contexts for requests that are answered over HTTP. Synchronous, and looks nothing up. */
export function contextFactory(services: Services): (input: ContextInput) => Context {
  return input => new RequestContext(services, input, true)
}

/** Makes a context for calls in this process, which send no answer to wait for. */
export function callerContext(services: Services, input: ContextInput): Context {
  return new RequestContext(services, input, false)
}

function organizationOf(header: string | string[] | undefined): string | null {
  if (header === undefined || header === '') return null
  return typeof header === 'string' && UUID.test(header) ? header : NO_ORGANIZATION
}

function bearerSecret(authorization: string): string | null {
  return authorization.slice(0, 7).toLowerCase() === 'bearer ' ? authorization.slice(7).trim() : null
}

function secretCredential(secret: string | null, authSecret: string): string | null {
  if (secret === null || !hasSecretPrefix(secret)) return sessionCredential(secret, authSecret)
  const prefix = genuinePrefix(secret)
  return prefix && credentialOf(secret, prefix)
}

function isSame(secret: string, expected: string): boolean {
  return timingSafeEqual(hash('sha256', secret, 'buffer'), hash('sha256', expected, 'buffer'))
}

function sessionCredential(signed: string | null, authSecret: string): string | null {
  const token = signed === null ? null : verifySessionToken(signed, authSecret)
  return token === null ? null : `s:${hash('sha256', token, 'hex')}`
}
