import { hash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { open, type Place, seal, UnreadableValueError } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import { newId } from '#server/db/new-id.ts'
import type { ProviderName } from './schema.ts'

export interface TakenState {
  readonly provider: ProviderName
  /** Null if the flow has no verifier, or if it cannot be decrypted. */
  readonly codeVerifier: string | null
  /** An absolute URL that was allowed when the flow started. */
  readonly returnTo: string
  readonly isExpired: boolean
}

interface StartedFlow {
  readonly state: string
  readonly codeVerifier: string | null
}

/** Starts a flow that only the caller's session can finish. */
export async function createState(
  db: Database,
  { keyring, identity }: { keyring: Keyring; identity: Identity },
  flow: { provider: ProviderName; returnTo: string; hasPkce: boolean },
): Promise<StartedFlow> {
  const id = newId()
  const state = randomWord()
  const codeVerifier = flow.hasPkce ? randomWord() : null
  await db
    .insertInto('app.oauthStates')
    .values({
      id,
      stateHash: hashOf(state),
      provider: flow.provider,
      returnTo: flow.returnTo,
      codeVerifier: codeVerifier && seal(keyring, codeVerifier, verifierPlace(identity.userId, id)),
    })
    .execute()
  return { state, codeVerifier }
}

/**
 * Deletes and returns a state, so it can be used once; null if the caller's session did not create it or
 * already used it.
 */
export async function takeState(db: Database, keyring: Keyring, state: string): Promise<TakenState | null> {
  const row = await db
    .selectFrom(
      sql<{
        userId: string
        id: string
        provider: ProviderName
        codeVerifier: string | null
        returnTo: string
        isExpired: boolean
      }>`app.take_oauth_state(${hashOf(state)})`.as('taken'),
    )
    .selectAll()
    .executeTakeFirst()
  if (!row) return null
  const { userId, id, provider, codeVerifier, returnTo, isExpired } = row
  return {
    provider,
    returnTo,
    isExpired,
    codeVerifier: codeVerifier && openVerifier(keyring, codeVerifier, verifierPlace(userId, id)),
  }
}

/** 256 random bits, in the alphabet and with the minimum length that RFC 7636 requires of a verifier. */
function randomWord(): string {
  return randomBytes(32).toString('base64url')
}

function hashOf(state: string): Buffer {
  return hash('sha256', state, 'buffer')
}

function verifierPlace(ownerId: string, rowId: string): Place {
  return { table: 'app.oauth_states', column: 'code_verifier', ownerId, rowId }
}

function openVerifier(keyring: Keyring, envelope: string, place: Place): string | null {
  try {
    return open(keyring, envelope, place)
  } catch (error) {
    if (error instanceof UnreadableValueError) return null
    throw error
  }
}
