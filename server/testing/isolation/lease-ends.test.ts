import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type House, openHouse } from '../actors.ts'
import { createHousehold, type Household } from './dataset.ts'
import { connectAsApi, INSERTS, type LeasePrompt, openLeasePrompt } from './lease-prompt.ts'
import { readTables, type Table } from './tables.ts'

// A worker at a prompt as the API's login, with a lease that is over, or with what was never one.

let house: House
let client: pg.Client
let tables: Table[]
let owner: Household
let prompt: LeasePrompt

beforeAll(async () => {
  house = await openHouse()
  tables = await readTables(house.owner)
  owner = await createHousehold(house, 'Owner')
  await createHousehold(house, 'Stranger')
  client = await connectAsApi(house)
})

beforeEach(async () => {
  prompt = await openLeasePrompt(house, { client, tables, userId: owner.userId })
})

afterAll(async () => {
  await client.end()
  await house.close()
})

const endings: [title: string, sql: string][] = [
  ['has lapsed', 'update app.task_leases set expires_at = now() where id = $1'],
  ['has ended', 'update app.task_leases set ended_at = now() where id = $1'],
  ['lost its task', `update app.tasks set status = 'stopped' where lease_id = $1`],
]

test.for(endings)('a lease that %s opens nothing', async ([, ending]) => {
  await house.owner.query(ending, [prompt.lease.id])
  await expectNothing(prompt.lease.credential)
})

test('nothing but the digest of its secret is a lease', async () => {
  const { lease, run } = prompt
  const { rows } = await house.owner.query<{ hash: string }>(
    `select encode(credential_hash, 'hex') as hash from app.task_leases where id = $1`,
    [lease.id],
  )
  const digest = lease.credential.slice(2)
  for (const forged of [
    `l:${rows[0]?.hash}`,
    `L:${digest}`,
    `s:${digest}`,
    `t:${digest}`,
    `l:${digest}00`,
    `l:${digest.slice(2)}`,
    `l:${'0'.repeat(64)}`,
    'l:',
  ]) {
    await expectNothing(forged)
  }
  for (const garbage of [`l:${lease.secret}`, `l:${lease.id}`, ` l:${digest}`, 'l:%', `l:' or true`]) {
    expect(await run('select id from app.tasks', [], garbage)).toMatch(/^(22023|0: \[\])$/)
  }
})

async function expectNothing(credential: string): Promise<void> {
  const { run, lease, otherRows } = prompt
  const before = await otherRows()
  for (const { name, readable, updatable } of tables) {
    if (readable.length > 0 && name !== 'app.tools') {
      expect(await run(`select ${readable.join(', ')} from ${name}`, [], credential), name).toBe('0: []')
    }
    const [column] = updatable
    if (column) {
      expect(await run(`update ${name} set ${column} = ${column}`, [], credential), name).toBe('0: []')
    }
  }
  expect(await run(INSERTS.log, [lease.taskId], credential)).toBe('42501')
  expect(await run('select * from app.extend_lease()', [], credential)).toBe('RH409')
  expect(await run('select * from app.open_task_secrets()', [], credential)).toBe('RH409')
  expect(await otherRows()).toEqual(before)
}
