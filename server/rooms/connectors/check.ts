import type { Services } from '#server/app/services.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import { checkMcpServer, type McpTarget } from './mcp/check-server.ts'
import { type OpenConnector, openConnector, recordCheck } from './queries.ts'
import type { CheckAnswer } from './schema.ts'

/**
 * Connects to one of the caller's MCP servers, lists its tools and stores the result. An unreachable server
 * is a result, not an error. Throws `value_unreadable` if a needed secret cannot be decrypted.
 */
export async function checkConnector(
  identity: Identity,
  { db, services, id }: { db: Database; services: Pick<Services, 'keyring' | 'connectors'>; id: string },
): Promise<CheckAnswer> {
  const connector = await openConnector(db, services.keyring, id)
  const result = await checkMcpServer(identity, targetOf(connector), services.connectors)
  if (result.status === 'connected') {
    const { tools } = result
    await recordCheck(db, connector, { status: 'connected', tools })
    return { status: 'connected', tools }
  }
  await recordCheck(db, connector, { status: 'disconnected', error: result.error })
  return { status: 'disconnected', tools: [], error: result.error }
}

function targetOf({ kind, command, args, url, secrets }: OpenConnector): McpTarget {
  if (kind === 'local') return { kind, command: command ?? '', args, env: secrets.env }
  const { headers, oauthClientId: clientId, oauthClientSecret: clientSecret } = secrets
  const target = { kind, url: url ?? '', headers }
  return clientId === null || clientSecret === null
    ? target
    : { ...target, oauth: { clientId, clientSecret } }
}
