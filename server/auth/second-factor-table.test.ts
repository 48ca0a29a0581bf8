import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'

// Tests the rules that the tables enforce for every way to create a session or a password.

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const SWITCH_ON = 'update auth.users set two_factor_enabled = true where id = $1'
const SIGN_IN = `insert into auth.sessions (user_id, token, expires_at) values ($1, $2, now() + interval '1 day')`

async function sessionsOf(userId: string): Promise<unknown[]> {
  return (await house.owner.query('select from auth.sessions where user_id = $1', [userId])).rows
}

test('a new session waits for the factor that is being switched on, and is refused', async () => {
  const { userId } = await createActor(house)
  const signIn = whileWaiting(house, { locked: [SWITCH_ON, [userId]] }, () =>
    house.owner.query(SIGN_IN, [userId, randomUUID()]),
  )
  await expect(signIn).rejects.toMatchObject({ constraint: 'sessions_second_factor_check' })
  expect(await sessionsOf(userId)).toEqual([])
})

test('switching the factor on waits for a session that is being created, and ends it', async () => {
  const { userId } = await createActor(house)
  await whileWaiting(house, { locked: [SIGN_IN, [userId, randomUUID()]] }, () =>
    house.owner.query(SWITCH_ON, [userId]),
  )
  expect(await sessionsOf(userId)).toEqual([])
})

test('many sessions of one user can be created concurrently', async () => {
  const { userId } = await createActor(house)
  const first = await house.owner.connect()
  try {
    await first.query('begin')
    await first.query(SIGN_IN, [userId, randomUUID()])
    await house.owner.query(SIGN_IN, [userId, randomUUID()])
    await first.query('commit')
  } finally {
    first.release(true)
  }
  expect(await sessionsOf(userId)).toHaveLength(3)
})

test('the first password and every later one end the trust in all devices', async () => {
  const { userId } = await createActor(house)
  const trust = () =>
    house.owner.query(
      `insert into auth.trusted_devices (user_id, token_hash, expires_at)
       values ($1, sha256(convert_to($2, 'utf8')), now() + interval '1 day')`,
      [userId, randomUUID()],
    )
  const trusted = async () =>
    (await house.owner.query('select from auth.trusted_devices where user_id = $1', [userId])).rows.length
  const addAccount = (provider: string, password: string | null) =>
    house.owner.query(
      'insert into auth.accounts (user_id, account_id, provider_id, password) values ($1, $2, $3, $4)',
      [userId, randomUUID(), provider, password],
    )
  await trust()
  await addAccount('github', null)
  expect(await trusted()).toBe(1)
  await addAccount('credential', 'a hash')
  expect(await trusted()).toBe(0)
  await trust()
  await house.owner.query(
    `update auth.accounts set updated_at = now() where user_id = $1 and provider_id = 'credential'`,
    [userId],
  )
  expect(await trusted()).toBe(1)
  await house.owner.query(
    `update auth.accounts set password = 'another' where user_id = $1 and password is not null`,
    [userId],
  )
  expect(await trusted()).toBe(0)
})
