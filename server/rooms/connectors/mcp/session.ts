import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { createOutgoingFetch, type Outgoing } from '#server/outgoing/outgoing-fetch.ts'
import type { McpTool } from '../schema.ts'
import type { McpCheckOptions, McpCheckResult, McpTarget } from './check-server.ts'
import { createChildTransport, type LocalTarget } from './child-transport.ts'
import { httpStatusOf, sentenceOf } from './failure.ts'
import { listAllTools } from './list-tools.ts'
import { tolerateNulls } from './nulls.ts'
import {
  createRemoteTransport,
  type RemoteProtocol,
  type RemoteTarget,
  sayGoodbye,
} from './remote-transport.ts'
import { startWatch, type Watch } from './watch.ts'

const DEADLINE_MS = 15_000

/** Runs one session with an MCP server, from initialization to its end, under one deadline. */
export async function connectAndList(target: McpTarget, options: McpCheckOptions): Promise<McpCheckResult> {
  const { deadlineMs = DEADLINE_MS } = options
  const watch = startWatch(deadlineMs)
  try {
    const tools =
      target.kind === 'local' ? await testLocal(target, watch) : await testRemote(target, options, watch)
    return { status: 'connected', tools }
  } catch (error) {
    return { status: 'disconnected', error: sentenceOf(error, deadlineMs) }
  } finally {
    watch.stop()
  }
}

function testLocal(target: LocalTarget, watch: Watch): Promise<McpTool[]> {
  return listOver(createChildTransport(target, watch), watch, Object.values(target.env))
}

async function testRemote(target: RemoteTarget, options: McpCheckOptions, watch: Watch): Promise<McpTool[]> {
  const { allowPrivate, resolve } = options
  const outgoing = createOutgoingFetch({
    allowPrivate,
    resolve,
    deadlineMs: watch.deadlineMs,
    // A server need not serve every stream, so an unreachable one is ignored; any other failure ends the
    // test.
    onFailure: error => error.kind !== 'unreachable' && watch.fail(error),
  })
  try {
    return await listRemote(target, { protocol: 'streamable', outgoing, watch })
  } catch (error) {
    const status = httpStatusOf(error)
    // The protocol's way to detect a server of its first version, which supported only server-sent events.
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
  const client = new McpClient({ name: 'rowhouse', version: '1' })
  client.onerror = () => watch.complain()
  client.fallbackNotificationHandler = async () => watch.complain()
  const timeoutMs = watch.deadlineMs
  tolerateNulls(transport)
  const work = async () => {
    await client.connect(transport, { timeout: timeoutMs })
    const tools = await listAllTools(client, { timeoutMs, secrets })
    await sayGoodbye(transport)
    return tools
  }
  try {
    return await watch.during(work())
  } catch (error) {
    // Throws the reason why the test ended, not the closed connection that results from it.
    throw watch.signal.aborted ? watch.signal.reason : error
  } finally {
    await transport.close()
  }
}
