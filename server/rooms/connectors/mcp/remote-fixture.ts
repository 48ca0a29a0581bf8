import { expect } from 'vitest'
import type { Identity } from '#server/db/identity.ts'
import { type Handler, serveHttp } from '#server/testing/mcp/http-server.ts'
import { checkMcpServer, type McpCheckOptions, type McpCheckResult } from './check-server.ts'

export const SECRET = 'remote-canary-51b7c0fe'
const IDENTITY = { userId: 'ada' } as Identity
const HEADERS = { authorization: `Bearer ${SECRET}`, 'x-key': SECRET }

/** Tests a remote server with a secret in two headers. */
export function ask(
  target: {
    url: string
    headers?: Record<string, string>
    oauth?: { clientId: string; clientSecret: string }
  },
  options: Partial<McpCheckOptions> = {},
): Promise<McpCheckResult> {
  return checkMcpServer(
    IDENTITY,
    { kind: 'remote', headers: HEADERS, ...target },
    { allowLocal: false, allowPrivate: true, deadlineMs: 20_000, ...options },
  )
}

/** The error of testing a server with this handler; asserts that it does not contain the secret. */
export async function refusal(handler: Handler, options: Partial<McpCheckOptions> = {}): Promise<string> {
  await using server = await serveHttp(handler)
  const result = await ask(server, options)
  expect(JSON.stringify(result)).not.toContain(SECRET)
  return result.status === 'disconnected' ? result.error : 'connected'
}
