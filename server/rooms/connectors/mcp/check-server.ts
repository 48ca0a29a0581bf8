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
  /**
   * Whether commands may run on this server. A command has the rights of this process, whichever user typed
   * it.
   */
  readonly allowLocal: boolean
  /** Whether remote servers may have private, loopback or link-local addresses. */
  readonly allowPrivate: boolean
  /** For the whole test; ending a command may take half a second more. */
  readonly deadlineMs?: number
  /** Replaces the system's name resolution. */
  readonly resolve?: Resolve
}

/**
 * Connects to an MCP server, lists its tools and disconnects. Returns soon after the deadline, whatever the
 * server does; the error sentence contains no secret, and no process, directory or connection is left behind.
 * Throws `rate_limited` if the caller already runs too many tests.
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
    // Loaded with the first test, because the SDK and undici need memory that other servers can save.
    const { connectAndList } = await import('./session.ts')
    return await connectAndList(target, options)
  } finally {
    giveBack()
  }
}
