import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { FetchLike, Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Outgoing } from '#server/outgoing/outgoing-fetch.ts'
import { McpFailure, SIGN_IN_ELSEWHERE } from './failure.ts'
import type { Watch } from './watch.ts'

export interface RemoteTarget {
  readonly kind: 'remote'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly oauth?: { readonly clientId: string; readonly clientSecret: string }
}

export type RemoteProtocol = 'streamable' | 'sse'

/** Limits the pages of a list, and the requests and answers that the server causes. */
const MAX_REQUESTS = 200
const GOODBYE_MS = 1_000

/** MCP over HTTP, through the guard of outgoing requests. */
export function createRemoteTransport(
  target: RemoteTarget,
  use: { protocol: RemoteProtocol; outgoing: Outgoing; watch: Watch },
): Transport {
  const { protocol, outgoing, watch } = use
  const url = parsedUrl(target.url)
  const { oauth } = target
  const options = {
    fetch: targetFetch({ url, headers: checkedHeaders(target.headers) }, outgoing, watch),
    // The secret is sent to the server's own origin only, because the user trusts no other one. A server may
    // still name a token endpoint elsewhere, which targetFetch rejects.
    authProvider: oauth && new ClientCredentialsProvider({ ...oauth, expectedIssuer: url.origin }),
  }
  if (protocol === 'sse') return new SSEClientTransport(url, options)
  return new StreamableHTTPClientTransport(url, {
    ...options,
    reconnectionOptions: {
      initialReconnectionDelay: 1_000,
      maxReconnectionDelay: 1_000,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 0,
    },
  })
}

/** Ends the server's session, and waits at most {@link GOODBYE_MS}. */
export async function sayGoodbye(transport: Transport): Promise<void> {
  if (!(transport instanceof StreamableHTTPClientTransport)) return
  const { promise: tooLong, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, GOODBYE_MS)
  await Promise.race([transport.terminateSession().catch(() => {}), tooLong])
  clearTimeout(timer)
}

/**
 * Sends only GET requests without credentials to other origins, such as for an authorization server's
 * metadata. Adds the connector's headers here instead of through the SDK, which would also send them to an
 * authorization server.
 */
function targetFetch(target: { url: URL; headers: Headers }, outgoing: Outgoing, watch: Watch): FetchLike {
  let requests = 0
  const refuse = (sentence: string): never => {
    const failure = new McpFailure(sentence)
    watch.fail(failure)
    throw failure
  }
  return async (input, init = {}) => {
    requests++
    if (requests > MAX_REQUESTS) refuse('the server wanted too many requests')
    const headers = new Headers(init.headers)
    const isTarget = new URL(input).origin === target.url.origin
    if (!isTarget && ((init.method ?? 'GET') !== 'GET' || headers.has('authorization')))
      refuse(SIGN_IN_ELSEWHERE)
    if (isTarget) for (const [name, value] of target.headers) headers.set(name, value)
    const signal = init.signal ? AbortSignal.any([init.signal, watch.signal]) : watch.signal
    return outgoing.fetch(input, { ...init, headers, signal })
  }
}

function parsedUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text)
  throw new McpFailure('the address is not a URL')
}

// The Headers class's own messages quote the rejected value.
function checkedHeaders(given: Readonly<Record<string, string>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given)) {
    try {
      headers.set(name, value)
    } catch {
      throw new McpFailure('a header has a name or value that HTTP does not allow')
    }
  }
  return headers
}
