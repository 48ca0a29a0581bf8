import { seal } from '#server/crypto/envelope.ts'
import { newId } from '#server/db/new-id.ts'
import type { ProviderName } from '#server/rooms/connections/schema.ts'
import { sealTokens } from '#server/rooms/connections/tokens.ts'
import type { House } from '../actors.ts'
import { TEST_PROVIDERS } from '../providers/registry.ts'
import { insertOne } from './dataset-rows.ts'

/** A connection whose tokens are the canary. */
export async function createConnection(
  house: House,
  { userId, provider, canary }: { userId: string; provider: ProviderName; canary: string },
): Promise<string> {
  const id = newId()
  const tokens = { accessToken: canary, refreshToken: canary, expiresAt: null }
  const { accessToken, refreshToken } = sealTokens(house.services.keyring, { userId, id }, tokens)
  return insertOne(
    house,
    `insert into app.connections
       (user_id, id, provider, external_id, name, settings, access_token, refresh_token)
     values ($1, $2, $3, $4, $4, $5, $6, $7) returning id`,
    [userId, id, provider, canary, TEST_PROVIDERS[provider].settings, accessToken, refreshToken],
  )
}

/** A flow to Linear that the session has begun. */
export async function createOAuthState(
  house: House,
  { userId, sessionId, canary }: { userId: string; sessionId: string; canary: string },
): Promise<void> {
  const id = newId()
  const place = { table: 'app.oauth_states', column: 'code_verifier', ownerId: userId, rowId: id }
  await house.owner.query(
    `insert into app.oauth_states (user_id, id, session_id, state_hash, provider, code_verifier, return_to)
     values ($1, $2, $3, sha256(convert_to($4, 'UTF8')), 'linear', $5, 'http://localhost:3000/' || $4)`,
    [userId, id, sessionId, canary, seal(house.services.keyring, canary, place)],
  )
}

export async function createEvent(
  house: House,
  { userId, connectionId, canary }: { userId: string; connectionId: string; canary: string },
): Promise<string> {
  const deliveryId = await insertOne(
    house,
    `insert into app.webhook_deliveries (provider, delivery_id, body_hash, event_type, headers, payload)
     values ('github', $1, sha256($1::text::bytea), 'push', '{}', jsonb_build_object('ref', $1::text)) returning id`,
    [canary],
  )
  return insertOne(
    house,
    `insert into app.webhook_events
       (user_id, connection_id, delivery_id, provider, event_type, payload, status, attempts, next_attempt_at, last_error)
     values ($1, $2, $3, 'github', 'push', jsonb_build_object('ref', $4::text), 'dead', 10, null, 'it failed')
     returning id`,
    [userId, connectionId, deliveryId, canary],
  )
}
