import { type ChildProcess, spawn } from 'node:child_process'
import { hash, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { open, type Place, seal } from '#server/crypto/envelope.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { newId } from '#server/db/new-id.ts'
import { startServer } from '#server/start.ts'
import { createTestDatabase, openOwnerPool, type TestDatabase } from '#server/testing/database.ts'
import { loginEnvironment, TEST_AUTH_SECRET } from '#server/testing/environment.ts'

const K1 = `k1:${hash('sha256', 'the first key')}`
const K2 = `k2:${hash('sha256', 'the second key')}`
// A pause between the writes, so that the rotation gets processor time.
const PACE_MS = 2

const oldKeys = parseKeyring(K1)
const bothKeys = parseKeyring(`${K2},${K1}`)
const newKeys = parseKeyring(K2)

let database: TestDatabase
let owner: pg.Pool
let dataDir: string
let userId: string

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-keys-'))
})
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

beforeEach(async () => {
  database = await createTestDatabase()
  owner = openOwnerPool(database)
  const { rows } = await owner.query(
    `insert into auth.users (name, email) values ('Ada', 'ada@example.com') returning id`,
  )
  userId = rows[0].id
  // A table that is in no list: rotation finds it by its columns' domain.
  await owner.query(`
    create table app.things (
      user_id uuid not null references auth.users,
      id uuid not null,
      "Secret" app.envelope,
      updated_at timestamptz not null default '2020-01-01',
      primary key (user_id, id)
    );
    alter table app.things enable row level security;
    create trigger things_touch_updated_at before update on app.things
      for each row execute function app.touch_updated_at();`)
  return async () => {
    await owner.end()
    await database.drop()
  }
})

const thing = (rowId: string): Place => ({ table: 'app.things', column: 'Secret', ownerId: userId, rowId })
const token = (rowId: string): Place => ({
  table: 'auth.accounts',
  column: 'access_token',
  ownerId: userId,
  rowId,
})

async function addThings(count: number, text: (n: number) => string): Promise<string[]> {
  const ids = Array.from({ length: count }, () => newId())
  const values = ids.map((id, n) => seal(oldKeys, text(n), thing(id)))
  await owner.query(
    'insert into app.things (user_id, id, "Secret") select $1, id, v from unnest($2::uuid[], $3::text[]) as n (id, v)',
    [userId, ids, values],
  )
  return ids
}

async function readThing(id: string): Promise<string> {
  const { rows } = await owner.query('select "Secret" as value from app.things where id = $1', [id])
  return rows[0].value
}

async function addAccount(value: (id: string) => string): Promise<string> {
  const id = newId()
  await owner.query(
    `insert into auth.accounts (id, user_id, account_id, provider_id, access_token) values ($1::uuid, $2, $1::text, 'github', $3)`,
    [id, userId, value(id)],
  )
  return id
}

function start(keys: string, args: string[] = []): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'keys-rotate.ts'), ...args], {
    cwd: dataDir,
    env: {
      PATH: '/usr/bin:/bin',
      DATA_DIR: dataDir,
      AUTH_SECRET: TEST_AUTH_SECRET,
      ENCRYPTION_KEYS: keys,
      DATABASE_URL: database.ownerUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function run(keys: string, args: string[] = []) {
  const child = start(keys, args)
  const said = { stdout: '', stderr: '' }
  child.stdout?.on('data', chunk => (said.stdout += String(chunk)))
  child.stderr?.on('data', chunk => (said.stderr += String(chunk)))
  const [code] = await once(child, 'close')
  return { code: code as number | null, ...said }
}

async function serve(keys: string): Promise<void> {
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    DATA_DIR: dataDir,
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: keys,
    ...loginEnvironment(database.urls),
  })
  const server = await startServer(config, createLogger({ level: 'silent' }))
  await server.stop()
}

describe('keys:rotate', () => {
  test('moves every secret to the first key, after which the other one can be removed', async () => {
    await serve(K1)
    const ids = await addThings(7, n => `secret ${n}`)
    const account = await addAccount(id => seal(oldKeys, 'gho_canary', token(id)))
    await serve(`${K2},${K1}`)

    const counted = await run(`${K2},${K1}`, ['--dry-run', '--json'])
    expect(JSON.parse(counted.stdout)).toMatchObject({
      ok: true,
      moved: 8,
      held: { k1: 8, k2: 0 },
      removable: [],
    })
    const { code, stdout, stderr } = await run(`${K2},${K1}`, ['--batch', '3'])
    expect([code, stdout.trim().split('\n')]).toEqual([
      0,
      [
        '8 values moved to the key "k2"',
        'key "k2" holds 8 values',
        'key "k1" holds 0 values',
        'the key "k1" can be removed from ENCRYPTION_KEYS',
      ],
    ])
    expect(stderr).toContain(
      'app.things.Secret: 3 moved\napp.things.Secret: 6 moved\napp.things.Secret: 7 moved\n',
    )
    for (const [n, id] of ids.entries())
      expect(open(newKeys, await readThing(id), thing(id))).toBe(`secret ${n}`)
    const { rows } = await owner.query('select access_token from auth.accounts where id = $1', [account])
    expect(open(newKeys, rows[0].access_token, token(account))).toBe('gho_canary')
    await serve(K2)
    await expect(serve(K1)).rejects.toThrow('lacks the key "k2"')

    const touched = await owner.query(`select from app.things where updated_at <> '2020-01-01'`)
    expect(touched.rowCount).toBe(0)
    await owner.query('update app.things set "Secret" = null where id = $1', [ids[0]])
    expect((await owner.query(`select from app.things where updated_at <> '2020-01-01'`)).rowCount).toBe(1)
  })

  test('counts values that do not decrypt by table, leaves them unchanged, and fails', async () => {
    const [mine = '', other = '', current = ''] = await addThings(4, n => `canary ${n}`)
    await owner.query('update app.things set "Secret" = $2 where id = $1', [mine, await readThing(other)])
    const foreign = seal(newKeys, 'canary', thing(other))
    await owner.query('update app.things set "Secret" = $2 where id = $1', [current, foreign])
    await addAccount(() => 'plain text')
    const { code, stdout, stderr } = await run(`${K2},${K1}`, ['--json'])
    expect([code, JSON.parse(stdout)]).toMatchObject([
      1,
      {
        ok: false,
        moved: 2,
        held: { k2: 3, k1: 1, '': 1 },
        removable: ['k1'],
        unreadable: {
          'app.things.Secret': [
            { rowId: mine, keyId: 'k1', reason: 'tampered' },
            { rowId: current, keyId: 'k2', reason: 'tampered' },
          ],
          'auth.accounts.access_token': [{ keyId: null, reason: 'malformed' }],
        },
      },
    ])
    expect(stdout + stderr).not.toMatch(/canary|plain text|rh1\./)
    expect(() => open(bothKeys, foreign, thing(mine))).toThrow('unreadable')
  })

  test('refuses keys that are not the ones in use, until --forget names the lost one', async () => {
    await serve(K1)
    const [id = ''] = await addThings(1, () => 'lost')
    const before = await readThing(id)
    const refused = await run(K2)
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('lacks the key "k1"') })
    expect(refused.stderr).not.toContain(K2.slice(3))
    expect(await run(`${K2},${K1}`, ['--forget', 'k1'])).toMatchObject({ code: 1 })
    const given = await run(K2, ['--forget', 'k1'])
    expect(given).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('app.things.Secret: 1 value unreadable'),
    })
    expect(await readThing(id)).toBe(before)
    await serve(K2)
  })

  test('prints help, and refuses invalid usage', async () => {
    expect(await run(K1, ['--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Exit codes'),
    })
    expect((await run(K1, ['--batch', '0'])).code).toBe(2)
  })
})

test('loses no value and finishes if it is killed 50 times while servers read and write', {
  timeout: 180_000,
}, async () => {
  await serve(K1)
  const ids = await addThings(2_400, n => `${n} at first`)
  const expected = new Map(ids.map((id, n) => [id, `${n} at first`]))
  const load = { isOn: true, reads: 0, writes: 0 }

  const readers = Array.from({ length: 2 }, async () => {
    while (load.isOn) {
      await sleep(PACE_MS)
      const id = ids[randomInt(ids.length)] ?? ''
      open(bothKeys, await readThing(id), thing(id))
      load.reads++
    }
  })
  // Half of the writers are servers that still encrypt with the old key.
  const writers = [oldKeys, bothKeys].map(async (keys, n) => {
    while (load.isOn) {
      await sleep(PACE_MS)
      const row = randomInt(ids.length / 2) * 2 + n
      const id = ids[row] ?? ''
      const text = `${row} as of write ${load.writes++}`
      await owner.query('update app.things set "Secret" = $2 where id = $1', [
        id,
        seal(keys, text, thing(id)),
      ])
      expected.set(id, text)
    }
  })

  let kills = 0
  const kill = async () => {
    const child = start(`${K2},${K1}`, ['--batch', '4'])
    const closed = once(child, 'close')
    let batchesLeft = randomInt(1, 6)
    child.stdout?.resume()
    child.stderr?.on('data', chunk => {
      batchesLeft -= String(chunk).split('moved\n').length - 1
      if (batchesLeft <= 0) child.kill('SIGKILL')
    })
    const [, signal] = await closed
    if (signal === 'SIGKILL') kills++
  }
  // Two runs at a time, which must not disturb each other.
  const lane = async () => {
    while (kills < 50) await kill()
  }
  await Promise.all([lane(), lane()])
  load.isOn = false
  await Promise.all([...readers, ...writers])
  expect(load.reads).toBeGreaterThan(100)
  expect(load.writes).toBeGreaterThan(100)

  const { code, stdout } = await run(`${K2},${K1}`, ['--json'])
  expect([code, JSON.parse(stdout)]).toMatchObject([
    0,
    { held: { k1: 0, k2: ids.length }, removable: ['k1'], unreadable: {} },
  ])
  for (const [id, text] of expected) expect(open(newKeys, await readThing(id), thing(id))).toBe(text)
  await serve(K2)
})
