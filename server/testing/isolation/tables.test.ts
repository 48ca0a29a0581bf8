import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, openHouse } from '../actors.ts'
import {
  createHousehold,
  type Household,
  marksOf,
  sessionCredential,
  tokenCredential,
  workOf,
} from './dataset.ts'
import {
  asLeased,
  type Caller,
  findExcess,
  findGifts,
  findLeaks,
  findLosses,
  type SampleRows,
  sampleRows,
} from './probe.ts'
import { createStrangers } from './strangers.ts'
import { fingerprintTables, readTables, snapshotTables, type Table } from './tables.ts'

// Every table of the catalog, as each login. Nothing here goes through the server.

/** What the public login may not read of the tables that it reads. */
const PUBLIC_TABLES: Readonly<Record<string, readonly string[]>> = {
  'app.tools': [],
  'app.content': ['deleted_at', 'deletion_id', 'search'],
}

let house: House
let superuser: pg.Client
let tables: Table[]
let samples: SampleRows
let leasedSamples: SampleRows
let owner: Household
let neighbour: Household
let strangers: Caller[]

beforeAll(async () => {
  house = await openHouse()
  superuser = await connect(house.database.superuserUrl)
  owner = await createHousehold(house, 'Owner')
  neighbour = await createHousehold(house, 'Neighbour')
  tables = await readTables(house.owner)
  samples = await sampleRows(house.owner, tables, marksOf(owner))
  leasedSamples = await sampleRows(house.owner, asLeased(tables), workOf(owner))
  strangers = await createStrangers(house)
})

afterAll(async () => {
  await superuser.end()
  await house.close()
})

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  return client
}

async function asApi<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(house.database.directUrls.api)
  try {
    await client.query('begin')
    return await use(client)
  } finally {
    await client.end()
  }
}

test('a fingerprint is another after any write, and after nothing else', async () => {
  const read = () => fingerprintTables(house.owner, tables)
  const seen = [await read()]
  expect(await read()).toEqual(seen[0])
  for (const statement of [
    `insert into app.rate_limits (key, expires_at) values ('fingerprint', now())`,
    `update app.rate_limits set expires_at = expires_at where key = 'fingerprint'`,
    `delete from app.rate_limits where key = 'fingerprint'`,
  ]) {
    await house.owner.query(statement)
    const now = await read()
    for (const earlier of seen.slice(statement.startsWith('delete') ? 1 : 0)) {
      expect(now['app.rate_limits']).not.toBe(earlier['app.rate_limits'])
    }
    expect({ ...now, 'app.rate_limits': null }).toEqual({ ...seen[0], 'app.rate_limits': null })
    seen.push(now)
  }
})

describe('the API login', () => {
  test('reads and writes nothing without a credential or with another’s', async () => {
    const before = await snapshotTables(house.owner, tables)
    expect(await asApi(client => findLeaks(client, { tables, callers: strangers, owner, samples }))).toEqual(
      [],
    )
    expect(await snapshotTables(house.owner, tables)).toEqual(before)
  })

  test('reads and writes the caller’s own rows wherever it is granted anything', async () => {
    const credential = sessionCredential(owner)
    expect(await asApi(client => findLosses(client, { tables, owner, credential, samples }))).toEqual([])
  })

  test('reads and writes its own task’s rows under a lease', async () => {
    const { credential } = owner.lease
    const leased = { tables: asLeased(tables), owner, credential, samples: leasedSamples }
    expect(await asApi(client => findLosses(client, leased))).toEqual([])
  })

  test('reads nothing of another task under a lease', async () => {
    const { credential } = owner.lease
    const leased = { tables: asLeased(tables), credential, work: workOf(owner) }
    expect(await asApi(client => findExcess(client, leased))).toEqual([])
  })

  test('recognises nobody by anything but the digest of their secret', async () => {
    const { rows: stored } = await house.owner.query<{ session: string; token: string; lease: string }>(
      `select s.token as session, encode(t.token_hash, 'hex') as token, encode(l.credential_hash, 'hex') as lease
       from auth.sessions s join app.api_tokens t using (user_id) join app.task_leases l using (user_id)
       where user_id = $1`,
      [owner.userId],
    )
    const { session = '', token = '', lease = '' } = stored[0] ?? {}
    const raw = owner.token.slice(0, owner.token.lastIndexOf('.'))
    const credential = sessionCredential(owner)
    const forged = [
      `s:${session}`,
      `t:${token}`,
      `t:${session}`,
      `s:${token}`,
      `t:${credential.slice(2)}`,
      `S:${credential.slice(2)}`,
      credential.slice(2),
      ` ${credential}`,
      `${credential}0`,
      credential.slice(0, -1),
      credential.slice(0, -2),
      raw,
      owner.token,
      `s:${raw}`,
      `s:${owner.userId}`,
      owner.userId,
      `u:${owner.userId}`,
      `s:${owner.sessionId}`,
      `l:${lease}`,
      `l:${session}`,
      `l:${token}`,
      `s:${lease}`,
      `t:${lease}`,
      `s:${owner.lease.credential.slice(2)}`,
      `t:${owner.lease.credential.slice(2)}`,
      `L:${owner.lease.credential.slice(2)}`,
      `l:${credential.slice(2)}`,
      `l:${tokenCredential(owner.apiToken).slice(2)}`,
      `${owner.lease.credential}0`,
      owner.lease.credential.slice(0, -2),
      owner.lease.secret,
      `l:${owner.lease.secret}`,
      `l:${owner.lease.id}`,
      `l:${owner.leasedTaskId}`,
      `l:${owner.userId}`,
      'l:',
      's:',
      't:',
      `s:%`,
    ].map((value): Caller => ({ name: value, credential: value }))
    expect(await asApi(client => findLeaks(client, { tables, callers: forged, owner, samples }))).toEqual([])
  })

  test('is held by the policies alone, were every right to every column granted', async () => {
    await superuser.query('begin')
    try {
      await superuser.query('grant all on all tables in schema app, auth to rowhouse_api')
      const widened = await readTables(superuser)
      await superuser.query('set local role rowhouse_api')
      expect(await findLeaks(superuser, { tables: widened, callers: strangers, owner, samples })).toEqual([])
      for (const credential of [sessionCredential(owner), owner.lease.credential]) {
        const gifts = await findGifts(superuser, {
          tables: widened,
          credential,
          recipient: neighbour,
          organizationId: owner.organizationId,
        })
        expect(gifts).toEqual([])
      }
    } finally {
      await superuser.query('rollback')
    }
  })
})

describe('the other logins', () => {
  async function refusals(login: 'public' | 'auth' | 'system', among: readonly Table[]): Promise<string[]> {
    const client = await connect(house.database.directUrls[login])
    const answered: string[] = []
    try {
      await client.query(`select set_config('app.credential', $1, false)`, [sessionCredential(owner)])
      for (const { name, columns } of among) {
        for (const sql of [
          `select from ${name}`,
          ...columns.map(column => `select ${column} from ${name}`),
          `insert into ${name} default values`,
          ...columns.map(column => `update ${name} set ${column} = default`),
          `delete from ${name}`,
          `truncate ${name}`,
        ]) {
          const code = await client.query(sql).then(
            () => 'answered',
            error => error.code,
          )
          if (code !== '42501') answered.push(`${sql}: ${code}`)
        }
      }
    } finally {
      await client.end()
    }
    return answered
  }

  test('the public login reads nothing that is not published and writes nothing', async () => {
    const closed = tables.filter(table => !(table.name in PUBLIC_TABLES))
    expect(await refusals('public', closed)).toEqual([])
    const published = tables.flatMap(table => {
      const hidden = PUBLIC_TABLES[table.name]
      return hidden ? [{ ...table, columns: table.columns.filter(column => !hidden.includes(column)) }] : []
    })
    for (const [table, columns] of Object.entries(PUBLIC_TABLES)) {
      const hidden = tables
        .filter(({ name }) => name === table)
        .map(found => ({ ...found, columns: [...columns] }))
      const answers = await refusals('public', hidden)
      expect(answers.filter(answer => !answer.startsWith('select from '))).toEqual([])
    }
    const answered = await refusals('public', published)
    expect(answered.filter(answer => !answer.startsWith('select '))).toEqual([])
    expect(answered).toHaveLength(published.flatMap(({ columns }) => ['', ...columns]).length)
  })

  test('the public login reads of content what is published', async () => {
    const client = await connect(house.database.directUrls.public)
    try {
      const { rows } = await client.query<{ id: string; status: string }>(
        'select id, status from app.content',
      )
      expect(rows.map(row => row.status)).toEqual(['published', 'published'])
      expect(rows.map(row => row.id).toSorted()).toEqual(
        [owner.publishedContentId, neighbour.publishedContentId].toSorted(),
      )
    } finally {
      await client.end()
    }
  })

  test('the public login reads of the catalogue what is in use', async () => {
    const client = await connect(house.database.directUrls.public)
    try {
      const { rows } = await client.query('select * from app.tools')
      expect(rows.length).toBeGreaterThan(0)
      expect(rows.filter(row => !row.is_enabled)).toEqual([])
      for (const mark of marksOf(owner)) expect(JSON.stringify(rows)).not.toContain(mark)
    } finally {
      await client.end()
    }
  })

  test('the system login reads and writes no table', async () => {
    expect(await refusals('system', tables)).toEqual([])
  })

  test('the auth login reaches nothing in app', async () => {
    expect(
      await refusals(
        'auth',
        tables.filter(table => table.schema === 'app'),
      ),
    ).toEqual([])
  })
})
