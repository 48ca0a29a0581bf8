import type { ContextInput } from '#server/rpc/context.ts'

type Value = string | readonly string[] | null | undefined

/** Headers in any form that they are passed around in: the web's, Next's, Node's, pairs, and a plain object. */
export type HeadersLike =
  | Pick<Headers, 'get'>
  | Iterable<readonly [string, Value]>
  | { readonly [name: string]: Value }
  | ContextInput['headers']

/** A request of the web, of Next or of Node. */
export interface RequestLike {
  readonly headers: HeadersLike
  readonly signal?: AbortSignal | null
}

const NAMES = ['authorization', 'cookie', 'x-organization-id'] as const

/** What a call depends on of a request's headers. Throws TypeError for what is neither a request nor its headers. */
export function headersOf(source: RequestLike | HeadersLike): ContextInput['headers'] {
  const found: Record<string, string[]> = {}
  for (const [name, value] of entriesOf(source)) {
    if (value === null || value === undefined) continue
    const key = String(name).toLowerCase()
    found[key] = [...(found[key] ?? []), ...[value].flat().map(String)]
  }
  // As Fetch combines headers that come more than once.
  return {
    authorization: found.authorization?.join(', '),
    cookie: found.cookie?.join('; '),
    'x-organization-id': found['x-organization-id']?.join(', '),
  }
}

function entriesOf(source: RequestLike | HeadersLike): Iterable<readonly [string, Value]> {
  if (typeof source !== 'object' || source === null) throw new TypeError('expected a request, or its headers')
  if ('then' in source && typeof source.then === 'function') {
    throw new TypeError('expected headers, not a promise of them: await headers() first')
  }
  // What an object answers is looked at, not what it says that it has: Next's headers claim to have `headers`.
  if (Symbol.iterator in source && typeof source[Symbol.iterator] === 'function') {
    return source as Iterable<readonly [string, Value]>
  }
  if ('get' in source && typeof source.get === 'function') {
    const { get } = source as Pick<Headers, 'get'>
    return NAMES.map(name => [name, get.call(source, name)] as const)
  }
  const { headers } = source as Partial<RequestLike>
  if (typeof headers === 'object' && headers !== null && !Array.isArray(headers)) return entriesOf(headers)
  return Object.entries(source as { readonly [name: string]: Value })
}

/** The signal of a request that has one: a plain object of headers may hold text by that name. */
export function signalOf(source: RequestLike | HeadersLike): AbortSignal | undefined {
  const { signal } = source as { readonly signal?: unknown }
  return signal instanceof AbortSignal ? signal : undefined
}
