import type { DBAdapter } from 'better-auth/adapters'
import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely'
import pino from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { open } from '#server/crypto/envelope.ts'
import { setUpBetterAuth } from './better-auth.ts'
import { type AuthFixture, createAuthFixture, KEYRING, ORIGIN, SECRET, type SignedUp } from './fixture.ts'
import { createPasswordHashing } from './password-hashing.ts'
import { storedSessionToken } from './session-token.ts'

let fixture: AuthFixture
let user: SignedUp
const logged: string[] = []
let adapter: DBAdapter

beforeAll(async () => {
  fixture = await createAuthFixture()
  user = await fixture.signUp('adapter@example.com')
  const auth = await setUpBetterAuth({
    config: {
      authSecret: SECRET,
      appUrl: ORIGIN,
      allowedOrigins: [],
      environment: 'test',
      signUp: 'open',
      socialProviders: {},
    },
    pool: fixture.authPool,
    keyring: KEYRING,
    mailer: { send: async () => true, close: async () => {} },
    log: pino({ level: 'warn' }, { write: line => logged.push(line) }),
    hashing: createPasswordHashing(),
    addressHeader: 'x-test-address',
    portHeader: 'x-port',
    runInBackground: () => {},
  })
  adapter = (await auth.$context).adapter
})

afterAll(() => fixture.close())

interface Session {
  id: string
  token: string
  userId: string
}

test('a session found by its token has the raw token, found otherwise its own id', async () => {
  const byToken = await adapter.findOne<Session>({
    model: 'session',
    where: [{ field: 'token', value: user.rawToken }],
  })
  const byUser = await adapter.findMany<Session>({
    model: 'session',
    where: [{ field: 'userId', value: user.userId }],
  })
  expect(byToken?.token).toBe(user.rawToken)
  expect(byUser.map(session => session.token)).toEqual([byToken?.id])
})

test('a list of tokens finds the valid ones, each with its own token', async () => {
  const other = await fixture.signUp('adapter-other@example.com')
  const value = [user.rawToken, storedSessionToken(user.rawToken), other.rawToken]
  const sessions = await adapter.findMany<Session>({
    model: 'session',
    where: [{ field: 'token', operator: 'in', value }],
  })
  const tokens = Object.fromEntries(sessions.map(session => [session.userId, session.token]))
  expect(tokens).toEqual({ [user.userId]: user.rawToken, [other.userId]: other.rawToken })
})

test('a stored hash finds, changes, counts and deletes nothing, also in a transaction', async () => {
  const where = [{ field: 'token', value: storedSessionToken(user.rawToken) }]
  const update = { userAgent: 'changed' }
  for (const operations of [adapter, null]) {
    const run = operations
      ? (work: (a: typeof adapter) => Promise<unknown[]>) => work(operations)
      : (work: (a: typeof adapter) => Promise<unknown[]>) =>
          adapter.transaction(transaction => work({ ...adapter, ...transaction }))
    const outcome = await run(async a => [
      await a.findOne({ model: 'session', where }),
      await a.update({ model: 'session', where, update }),
      await a.updateMany({ model: 'session', where, update }),
      await a.count({ model: 'session', where }),
      await a.consumeOne({ model: 'session', where }),
      await a.deleteMany({ model: 'session', where }),
    ])
    expect(outcome).toEqual([null, null, 0, 0, null, 0])
  }
  expect(await adapter.count({ model: 'sessions', where: [{ field: 'token', value: user.rawToken }] })).toBe(
    1,
  )
})

test('a token cannot be searched by its parts', async () => {
  for (const operator of ['contains', 'starts_with', 'gt'] as const) {
    const where = [{ field: 'token', operator, value: 'a' }]
    await expect(adapter.findMany({ model: 'session', where })).rejects.toThrow('can only be compared whole')
  }
})

test('the value of a verification is encrypted, and a changed one decrypts to an empty text', async () => {
  const identifier = 'sign-in-state'
  const value = JSON.stringify({ codeVerifier: 'v3rifier' })
  await adapter.create({
    model: 'verification',
    data: { identifier, value, expiresAt: new Date(Date.now() + 60_000) },
  })
  const where = [{ field: 'identifier', value: identifier }]
  expect(await adapter.findOne({ model: 'verification', where })).toMatchObject({ value })
  const { rows } = await fixture.owner.query('select identifier, value from auth.verifications')
  expect(JSON.stringify(rows)).not.toMatch(/sign-in-state|v3rifier/)
  const stored = rows.at(-1)
  expect(
    await adapter.findOne({
      model: 'verification',
      where: [{ field: 'identifier', value: stored.identifier }],
    }),
  ).toBeNull()
  await fixture.owner.query(`update auth.verifications set value = 'A' || substr(value, 2) || 'A'`)
  expect(await adapter.findOne({ model: 'verification', where })).toMatchObject({ value: '' })
})

test('an invalid id matches no row', async () => {
  expect(await adapter.findOne({ model: 'user', where: [{ field: 'id', value: 'nonsense' }] })).toBeNull()
  expect(
    await adapter.findMany({
      model: 'user',
      where: [{ field: 'id', operator: 'in', value: ['x', user.userId] }],
    }),
  ).toHaveLength(1)
})

test("the library's login reads nothing outside its own schema", async () => {
  const db = new Kysely<{ 'app.tasks': { id: string } }>({
    dialect: new PostgresDialect({ pool: fixture.authPool }),
    plugins: [new CamelCasePlugin()],
  })
  await expect(db.selectFrom('app.tasks').select('id').execute()).rejects.toThrow('permission denied')
})

interface Account {
  id: string
  userId: string
  accessToken: string | null
  refreshToken: string | null
  idToken: string | null
}

async function linkAccount(accountId: string): Promise<Account> {
  return await adapter.create<Record<string, unknown>, Account>({
    model: 'account',
    data: {
      userId: user.userId,
      providerId: 'github',
      accountId,
      accessToken: `access-${accountId}`,
      refreshToken: `refresh-${accountId}`,
      idToken: `id-${accountId}`,
      createdAt: new Date(),
      updatedAt: new Date(),
    },
  })
}

const findAccount = (id: string) =>
  adapter.findOne<Account>({ model: 'account', where: [{ field: 'id', value: id }] })

async function storedTokens(id: string): Promise<string[]> {
  const { rows } = await fixture.owner.query(
    'select array[access_token, refresh_token, id_token] as tokens from auth.accounts where id = $1',
    [id],
  )
  return rows[0].tokens
}

test('a provider’s tokens are encrypted in their row and decrypted for the library', async () => {
  const made = await linkAccount('sealed')
  const tokens = { accessToken: 'access-sealed', refreshToken: 'refresh-sealed', idToken: 'id-sealed' }
  expect(made).toMatchObject(tokens)
  expect(await findAccount(made.id)).toMatchObject(tokens)
  const [access = '', ...others] = await storedTokens(made.id)
  for (const token of [access, ...others]) expect(token).toMatch(/^rh1\.test\./)
  const place = { table: 'auth.accounts', column: 'access_token', ownerId: user.userId, rowId: made.id }
  expect(open(KEYRING, access, place)).toBe('access-sealed')

  const where = [
    { field: 'providerId', value: 'github' },
    { field: 'accountId', value: 'sealed' },
  ]
  const renewed = await adapter.update<Account>({
    model: 'account',
    where,
    update: { accessToken: 'renewed' },
  })
  expect(renewed).toMatchObject({ ...tokens, accessToken: 'renewed' })
  expect((await storedTokens(made.id)).join()).not.toMatch(/renewed|sealed/)
  const selected = await adapter.findMany<Account>({ model: 'account', where, select: ['accessToken'] })
  expect(selected.map(account => account.accessToken)).toEqual(['renewed'])
})

test('a token that does not decrypt counts as absent, and is logged without its text', async () => {
  const [mine, other] = [await linkAccount('mine'), await linkAccount('other')]
  const moved =
    'update auth.accounts set access_token = (select access_token from auth.accounts where id = $2) where id = $1'
  await fixture.owner.query(moved, [mine.id, other.id])
  await fixture.owner.query(`update auth.accounts set id_token = 'plain text' where id = $1`, [mine.id])
  expect(await findAccount(mine.id)).toMatchObject({
    accessToken: null,
    refreshToken: 'refresh-mine',
    idToken: null,
  })
  expect(logged.filter(line => line.includes(mine.id)).map(line => JSON.parse(line).kind)).toEqual([
    'tampered',
    'malformed',
  ])
  expect(logged.join('')).not.toMatch(/access-|refresh-|plain text|rh1\./)
})

test('tokens cannot be written to several accounts at once', async () => {
  const update = { accessToken: 'for all' }
  await expect(async () => adapter.updateMany({ model: 'account', where: [], update })).rejects.toThrow(
    'one account at a time',
  )
})
