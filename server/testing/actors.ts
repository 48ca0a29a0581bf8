// The actors of tests: users with a session, their API tokens and organizations, inserted as the database's
// owner and so without sign-up. Every actor calls the real router, in this process, with their own
// credential.

import { randomBytes, randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import pino from 'pino'
import { NO_PROVIDERS } from '#server/app/config/providers.ts'
import type { Services } from '#server/app/services.ts'
import { signSessionToken, storedSessionToken } from '#server/auth/session-token.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { createLive } from '#server/live/live.ts'
import { openPools, type PoolOptions } from '#server/postgres/pools.ts'
import { createApiToken as newToken, shownPrefix, storedApiToken } from '#server/rooms/api-tokens/format.ts'
import { createInspections } from '#server/rooms/media/inspection/inspections.ts'
import { openMediaStore } from '#server/rooms/media/store.ts'
import { type Caller, createCaller } from '#server/rpc/caller.ts'
import { checkOutputs } from '#server/rpc/outputs.ts'
import { appRouter } from '#server/rpc/router.ts'
import type { Scope } from '#server/rpc/scopes.ts'
import { createPlaces } from '#server/system/places.ts'
import { createTestDatabase, openOwnerPool, type TestDatabase } from './database.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from './environment.ts'

/** The key of the operator's workers. */
export const WORKER_KEY = 'the worker key of the test suite, 9d41c7'.replaceAll(' ', '-')
/** The password of every actor. */
export const PASSWORD = 'correct horse battery staple'

/** A new database with everything that procedures need. */
export interface House {
  readonly database: TestDatabase
  readonly services: Services
  /** The owner's connections, to read rows and to change them without the server. */
  readonly owner: pg.Pool
  close(): Promise<void>
}

export interface Actor {
  readonly house: House
  readonly userId: string
  readonly name: string
  readonly email: string
  readonly sessionId: string
  /** The session's signed token, the value of a cookie or a bearer header. */
  readonly token: string
  /** The value of `Authorization`. */
  readonly authorization: string
  /** Calls the router as this actor; `headers` are added to the credential, or replace it. */
  caller(headers?: CallHeaders): Caller
}

export interface ActorToken {
  readonly id: string
  readonly token: string
  readonly authorization: string
  caller(headers?: CallHeaders): Caller
}

export interface CallHeaders {
  readonly authorization?: string
  readonly cookie?: string
  readonly 'x-organization-id'?: string
}

export type Role = 'owner' | 'admin' | 'member'

export async function openHouse(overrides: Partial<Services> = {}, pools: PoolOptions = {}): Promise<House> {
  checkOutputs(appRouter)
  const database = await createTestDatabase()
  const services = testServices(database, overrides, pools)
  const owner = openOwnerPool(database)
  return {
    database,
    services,
    owner,
    async close() {
      services.inspections.close()
      await services.live.close()
      await services.places.close()
      await Promise.all([services.pools.close(), owner.end()])
      await database.drop()
    },
  }
}

/** The services of a server, with the test's database and quotas that no test reaches by accident. */
export function testServices(
  database: Pick<TestDatabase, 'urls'>,
  overrides: Partial<Services> = {},
  poolOptions: PoolOptions = {},
): Services {
  const pools = openPools(database.urls, poolOptions)
  const log = pino({ level: 'silent' })
  const keyring = parseKeyring(TEST_ENCRYPTION_KEYS)
  const places = createPlaces({ system: pools.system })
  return {
    pools,
    log,
    authSecret: TEST_AUTH_SECRET,
    keyring,
    // As after a start, which has checked the keyring.
    sealingKeyring: async () => keyring,
    appUrl: 'http://localhost:3000',
    allowedOrigins: [],
    providers: NO_PROVIDERS,
    isSecure: false,
    workerKey: WORKER_KEY,
    live: createLive({
      pools,
      listenUrl: database.urls.listen,
      authSecret: TEST_AUTH_SECRET,
      log,
      places,
    }),
    places,
    media: openMediaStore(
      // The directory is empty until a test uploads something.
      { kind: 'disk', directory: join(tmpdir(), `rowhouse-media-${randomUUID()}`) },
      { appUrl: 'http://localhost:3000', authSecret: TEST_AUTH_SECRET },
    ),
    inspections: createInspections(),
    connectors: { allowLocal: false, allowPrivate: false },
    quotas: { maxTasksPerDay: 1_000, maxMessagesPerDay: 1_000 },
    verifyPassword: async (_userId, password) => password === PASSWORD,
    maxMailsPerHour: 1_000,
    mailInvitation: () => {},
    ...overrides,
  }
}

/** Calls the router without a credential, or with the given headers. */
export function anonymous(house: House, headers: CallHeaders = {}): Caller {
  return createCaller(house.services, { headers })
}

export async function createActor(house: House, { name = 'Ada' }: { name?: string } = {}): Promise<Actor> {
  const email = `${name.toLowerCase().replace(/\W+/g, '-')}-${randomUUID()}@example.com`
  const { id: userId } = await insert(
    house,
    'insert into auth.users (name, email, email_verified) values ($1, $2, true) returning id',
    [name, email],
  )
  return startSession({ house, userId, name, email })
}

/**
 * Signs an actor in again: the same user with another session, and with their second factor if they have one.
 */
export async function startSession(user: Pick<Actor, 'house' | 'userId' | 'name' | 'email'>): Promise<Actor> {
  const { house, userId, name, email } = user
  const raw = randomBytes(24).toString('base64url')
  const { id: sessionId } = await insert(
    house,
    `insert into auth.sessions (user_id, token, expires_at, ip_address, user_agent, second_factor_at)
     select id, $2, now() + interval '7 days', '192.0.2.1', 'vitest', case when two_factor_enabled then now() end
     from auth.users where id = $1 returning id`,
    [userId, storedSessionToken(raw)],
  )
  const token = signSessionToken(raw, house.services.authSecret)
  return { house, userId, name, email, sessionId, token, ...bearer(house, token) }
}

/** Creates an API token of the actor, in the state that the test needs. */
export async function createApiToken(
  actor: Actor,
  options: { scopes: readonly Scope[]; organizationId?: string; expiresAt?: Date },
): Promise<ActorToken> {
  const token = newToken()
  const { id } = await insert(
    actor.house,
    `insert into app.api_tokens (user_id, organization_id, name, prefix, token_hash, scopes, expires_at)
     values ($1, $2, 'a token', $3, $4, $5, $6) returning id`,
    [
      actor.userId,
      options.organizationId ?? null,
      shownPrefix(token),
      storedApiToken(token),
      options.scopes,
      options.expiresAt ?? null,
    ],
  )
  return { id, token, ...bearer(actor.house, token) }
}

/** Creates an organization with `owner` and the others, as plain members unless a role is given. */
export async function createOrganization(
  owner: Actor,
  members: readonly (Actor | { actor: Actor; role: Role })[] = [],
): Promise<{ id: string; slug: string }> {
  const { house } = owner
  const slug = `org-${randomUUID()}`
  const { id } = await insert(
    house,
    'insert into auth.organizations (name, slug) values ($1, $1) returning id',
    [slug],
  )
  const others = members.map(member =>
    'actor' in member ? member : { actor: member, role: 'member' as const },
  )
  for (const { actor, role } of [{ actor: owner, role: 'owner' as const }, ...others]) {
    await house.owner.query('insert into auth.members (organization_id, user_id, role) values ($1, $2, $3)', [
      id,
      actor.userId,
      role,
    ])
  }
  return { id, slug }
}

/** Invites a mail address to an organization, without sending a mail. */
export async function createInvitation(
  inviter: Actor,
  invited: { organizationId: string; email: string; role?: Role },
): Promise<string> {
  const { id } = await insert(
    inviter.house,
    `insert into auth.invitations (organization_id, inviter_id, email, role, expires_at)
     values ($1, $2, $3, $4, now() + interval '48 hours') returning id`,
    [invited.organizationId, inviter.userId, invited.email, invited.role ?? 'member'],
  )
  return id
}

function bearer(house: House, token: string): Pick<ActorToken, 'authorization' | 'caller'> {
  const authorization = `Bearer ${token}`
  return {
    authorization,
    caller: headers => createCaller(house.services, { headers: { authorization, ...headers } }),
  }
}

async function insert(house: House, sql: string, values: unknown[]): Promise<{ id: string }> {
  const { rows } = await house.owner.query<{ id: string }>(sql, values)
  const [row] = rows
  if (!row) throw new Error('nothing was inserted')
  return row
}
