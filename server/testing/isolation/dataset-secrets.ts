import { seal } from '#server/crypto/envelope.ts'
import { newId } from '#server/db/new-id.ts'
import { placeOf as aiProviderPlace } from '#server/rooms/ai-providers/queries.ts'
import { SECRET_FIELDS } from '#server/rooms/connectors/schema.ts'
import { placeOf as connectorPlace } from '#server/rooms/connectors/secrets.ts'
import { placeOf as keyPlace } from '#server/rooms/keys/queries.ts'
import type { House } from '../actors.ts'
import { insertOne, run } from './dataset-rows.ts'

/** A key to `anthropic` that is the canary, for the task to use. */
export async function createKey(
  house: House,
  { userId, taskId, canary }: { userId: string; taskId: string; canary: string },
): Promise<void> {
  const id = newId()
  const value = seal(house.services.keyring, canary, keyPlace(userId, id))
  await run(house, [
    [
      `insert into app.provider_keys (user_id, id, provider, value, hint) values ($1, $2, 'anthropic', $3, '')`,
      [userId, id, value],
    ],
    [`insert into app.task_keys (user_id, task_id, provider) values ($1, $2, 'anthropic')`, [userId, taskId]],
  ])
}

/** A connector whose secrets are the canary, for the task to use. */
export async function createConnector(
  house: House,
  { userId, taskId, canary }: { userId: string; taskId: string; canary: string },
): Promise<string> {
  const id = newId()
  const sealed = SECRET_FIELDS.map(field => {
    const text = field === 'env' || field === 'headers' ? JSON.stringify({ canary }) : canary
    return seal(house.services.keyring, text, connectorPlace(field, { ownerId: userId, rowId: id }))
  })
  await run(house, [
    [
      `insert into app.connectors
         (user_id, id, name, kind, url, env, headers, oauth_client_id, oauth_client_secret)
       values ($1, $2, $3, 'remote', 'https://127.0.0.1/', $4, $5, $6, $7)`,
      [userId, id, canary, ...sealed],
    ],
    [
      'insert into app.task_connectors (user_id, task_id, connector_id) values ($1, $2, $3)',
      [userId, taskId, id],
    ],
  ])
  return id
}

/** An AI provider whose credentials are the canary. */
export async function createAiProvider(
  house: House,
  { organizationId, canary }: { organizationId: string; canary: string },
): Promise<string> {
  const id = newId()
  const credentials = seal(house.services.keyring, canary, aiProviderPlace(organizationId, id))
  return insertOne(
    house,
    `insert into app.ai_provider_configs (organization_id, id, name, provider, model, credentials, is_default)
     values ($1, $2, $3, 'anthropic', 'a model', $4, true) returning id`,
    [organizationId, id, canary, credentials],
  )
}
