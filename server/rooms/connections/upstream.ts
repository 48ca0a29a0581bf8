import { z } from 'zod'
import type { Identity } from '#server/db/identity.ts'
import { type HeldTokens, ProviderError, type Tokens } from './provider.ts'
import type { ProviderName } from './schema.ts'

export const UPSTREAM_TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 8 * 1024 * 1024
const DEFAULT_RETRY_MS = 60_000
const MAX_RETRY_MS = 24 * 60 * 60 * 1_000

export interface UpstreamRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly url: string | URL
  readonly headers?: Readonly<Record<string, string>>
  /** A URLSearchParams is sent as a form, everything else as JSON. */
  readonly body?: URLSearchParams | Readonly<Record<string, unknown>>
}

export interface UpstreamAnswer {
  readonly status: number
  readonly headers: Headers
  /** Parsed JSON; null for an empty body. */
  readonly body: unknown
}

/**
 * Sends one request to a provider and parses the JSON answer. Has a deadline and follows no redirects.
 * Returns every status below 500 except 429, which the caller must check. Throws {@link ProviderError}:
 * `rate_limited`, or `unreachable` for a missing or invalid answer.
 */
export async function callUpstream(
  _identity: Identity,
  provider: ProviderName,
  request: UpstreamRequest,
): Promise<UpstreamAnswer> {
  const { status, headers, text } = await send(provider, request)
  if (status === 429) throw new ProviderError(provider, 'rate_limited', { retryAt: retryAt(headers) })
  if (status >= 500) throw new ProviderError(provider, 'unreachable', { reason: `answered ${status}` })
  if (text === '') return { status, headers, body: null }
  try {
    return { status, headers, body: JSON.parse(text) as unknown }
  } catch {
    throw new ProviderError(provider, 'unreachable', { reason: `answered ${status} without JSON` })
  }
}

async function send(
  provider: ProviderName,
  { method, url, headers, body }: UpstreamRequest,
): Promise<{ status: number; headers: Headers; text: string }> {
  const isForm = body instanceof URLSearchParams
  try {
    const response = await fetch(url, {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(UPSTREAM_TIMEOUT_MS),
      headers: {
        accept: 'application/json',
        'user-agent': 'rowhouse',
        ...(body && !isForm ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(body && { body: isForm ? body : JSON.stringify(body) }),
    })
    return { status: response.status, headers: response.headers, text: await readBounded(response) }
  } catch (error) {
    throw new ProviderError(provider, 'unreachable', { cause: error })
  }
}

/** Reads the body as text; throws if it exceeds {@link MAX_ANSWER_BYTES}. */
export async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let bytes = 0
  let text = ''
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the response is larger than ${MAX_ANSWER_BYTES} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** When to call the provider again: `Retry-After` in seconds or as a date, or else in a minute. */
export function retryAt(headers: Headers, now = Date.now()): Date {
  const header = headers.get('retry-after')?.trim() ?? ''
  const waitMs = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now
  return new Date(
    now + (Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), MAX_RETRY_MS) : DEFAULT_RETRY_MS),
  )
}

interface IssuedTokens {
  readonly access_token: string
  readonly refresh_token?: string | null | undefined
  /** In seconds. */
  readonly expires_in?: number | undefined
}

/** Converts a token endpoint's answer; a token without `expires_in` never expires. */
export function tokensOf(issued: IssuedTokens): Tokens & { readonly accessToken: string } {
  const { access_token, refresh_token, expires_in } = issued
  return {
    accessToken: access_token,
    refreshToken: refresh_token ?? null,
    expiresAt: expires_in === undefined ? null : new Date(Date.now() + expires_in * 1_000),
  }
}

/** Parses an answer; throws `unreachable` if it does not match the schema. */
export function readAnswer<T extends z.core.$ZodType>(
  provider: ProviderName,
  schema: T,
  body: unknown,
): z.output<T> {
  const answer = z.safeParse(schema, body)
  if (answer.success) return answer.data
  throw new ProviderError(provider, 'unreachable', { reason: 'answered something unexpected' })
}

/** Revokes the access token; if it has expired, refreshes it first and revokes the new one. */
export async function revokeOrRenew(
  { accessToken, refreshToken }: HeldTokens,
  {
    revoke,
    refresh,
  }: {
    /** Returns false if the token had already ended. */
    readonly revoke: (accessToken: string) => Promise<boolean>
    readonly refresh: () => Promise<Tokens>
  },
): Promise<void> {
  if (accessToken !== null && (await revoke(accessToken))) return
  if (refreshToken === null) return
  try {
    const fresh = await refresh()
    if (fresh.accessToken !== null) await revoke(fresh.accessToken)
  } catch (error) {
    if (!(error instanceof ProviderError && error.kind === 'revoked')) throw error
  }
}
