import type { Identity } from '#server/db/identity.ts'
import type { Resolve } from '#server/outgoing/connector.ts'
import type { McpTool } from '../schema.ts'
import type { LocalTarget } from './child-transport.ts'
import type { RemoteTarget } from './remote-transport.ts'
import { takeTurn } from './turns.ts'

export type McpTarget = LocalTarget | RemoteTarget

export type McpCheckResult =
  | { readonly status: 'connected'; readonly tools: McpTool[] }
  | { readonly status: 'disconnected'; readonly error: string }

export interface McpCheckOptions {
  /** Whether commands may run here: with the rights of this process, whoever typed them. */
  readonly allowLocal: boolean
  /** Whether remote servers may be at private, loopback and link-local addresses. */
  readonly allowPrivate: boolean
  /** For the whole test; closing a command may take half a second more. */
  readonly deadlineMs?: number
  /** Looks names up in place of the system. */
  readonly resolve?: Resolve
}

/**
 * Connects to an MCP server, lists its tools and leaves. Whatever the server does, this comes back soon after the deadline with one
 * sentence that holds no secret, and leaves no process, directory or connection behind. Throws `rate_limited` when too many
 * tests of the caller's run already.
 */
export async function checkMcpServer(
  identity: Identity,
  target: McpTarget,
  options: McpCheckOptions,
): Promise<McpCheckResult> {
  if (target.kind === 'local' && !options.allowLocal)
    return { status: 'disconnected', error: 'this server is configured not to run local commands' }
  const giveBack = takeTurn(identity.userId)
  try {
    // Loaded with the first test: the SDK and undici take memory that a server which never tests can do without.
    const { connectAndList } = await import('./session.ts')
    return await connectAndList(target, options)
  } finally {
    giveBack()
  }
}
