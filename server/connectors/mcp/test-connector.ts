import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Identity } from '../../db/identity.ts'
import type { Resolve } from '../../outgoing/connector.ts'
import { createOutgoingFetch, type Outgoing } from '../../outgoing/outgoing-fetch.ts'
import { createChildTransport, type LocalTarget } from './child-transport.ts'
import { httpStatusOf, sentenceOf } from './failure.ts'
import { listAllTools, type McpTool } from './list-tools.ts'
import {
  createRemoteTransport,
  type RemoteProtocol,
  type RemoteTarget,
  sayGoodbye,
} from './remote-transport.ts'
import { takeTurn } from './turns.ts'
import { startWatch, type Watch } from './watch.ts'

export type { McpTool }
export type McpTarget = LocalTarget | RemoteTarget

export type McpTestResult =
  | { readonly status: 'connected'; readonly tools: McpTool[] }
  | { readonly status: 'disconnected'; readonly error: string }

export interface McpTestOptions {
  /** Whether commands may run here: with the rights of this process, whoever typed them. */
  readonly allowLocal: boolean
  /** Whether remote servers may be at private, loopback and link-local addresses. */
  readonly allowPrivate: boolean
  /** For the whole test; closing a command may take half a second more. */
  readonly deadlineMs?: number
  /** Looks names up in place of the system. */
  readonly resolve?: Resolve
}

const DEADLINE_MS = 15_000

/**
 * Connects to an MCP server, lists its tools and leaves. Whatever the server does, this comes back soon after the deadline with one
 * sentence that holds no secret, and leaves no process, directory or connection behind. Throws `rate_limited` when too many
 * tests of the caller's run already.
 */
export async function testMcpServer(
  identity: Identity,
  target: McpTarget,
  options: McpTestOptions,
): Promise<McpTestResult> {
  const { allowLocal, deadlineMs = DEADLINE_MS } = options
  if (target.kind === 'local' && !allowLocal)
    return { status: 'disconnected', error: 'refused: this server does not run local commands' }
  const giveBack = takeTurn(identity.userId)
  const watch = startWatch(deadlineMs)
  try {
    const tools =
      target.kind === 'local' ? await testLocal(target, watch) : await testRemote(target, options, watch)
    return { status: 'connected', tools }
  } catch (error) {
    return { status: 'disconnected', error: sentenceOf(error, deadlineMs) }
  } finally {
    watch.stop()
    giveBack()
  }
}

function testLocal(target: LocalTarget, watch: Watch): Promise<McpTool[]> {
  return listOver(createChildTransport(target, watch), watch, Object.values(target.env))
}

async function testRemote(target: RemoteTarget, options: McpTestOptions, watch: Watch): Promise<McpTool[]> {
  const { allowPrivate, resolve } = options
  const outgoing = createOutgoingFetch({
    allowPrivate,
    resolve,
    deadlineMs: watch.deadlineMs,
    // A server need not open every stream that it is asked for; one that is refused or floods has failed wherever it does.
    onFailure: error => error.kind !== 'unreachable' && watch.fail(error),
  })
  try {
    return await listRemote(target, { protocol: 'streamable', outgoing, watch })
  } catch (error) {
    const status = httpStatusOf(error)
    // How the protocol tells a server of its first version, which spoke server-sent events only.
    if (status !== 400 && status !== 404 && status !== 405) throw error
    return await listRemote(target, { protocol: 'sse', outgoing, watch }).catch(() => {
      throw watch.signal.aborted ? watch.signal.reason : error
    })
  } finally {
    await outgoing.close()
  }
}

function listRemote(
  target: RemoteTarget,
  use: { protocol: RemoteProtocol; outgoing: Outgoing; watch: Watch },
): Promise<McpTool[]> {
  const { headers, oauth } = target
  const secrets = [...Object.values(headers), ...(oauth ? [oauth.clientSecret] : [])]
  return listOver(createRemoteTransport(target, use), use.watch, secrets)
}

async function listOver(transport: Transport, watch: Watch, secrets: readonly string[]): Promise<McpTool[]> {
  const client = new Client({ name: 'rowhouse', version: '1' })
  client.onerror = () => watch.complain()
  client.fallbackNotificationHandler = async () => watch.complain()
  const timeoutMs = watch.deadlineMs
  const work = async () => {
    await client.connect(transport, { timeout: timeoutMs })
    const tools = await listAllTools(client, { timeoutMs, secrets })
    await sayGoodbye(transport)
    return tools
  }
  try {
    return await watch.during(work())
  } catch (error) {
    // The cause is what ended the test, not the closed connection that follows from it.
    throw watch.signal.aborted ? watch.signal.reason : error
  } finally {
    await transport.close()
  }
}
