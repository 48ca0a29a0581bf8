import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { assertKeys, WrongKeysError } from '#server/crypto/check.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { type Caller, createCaller } from '#server/rpc/caller.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { processServices } from './process-services.ts'
import type { Services } from './services.ts'

// A Next.js process beside a server: the same database, and keys from an environment of its own.

const ANOTHER = '0123456789abcdef'.repeat(4)

let house: House
let ada: Actor
let beside: Services
let caller: Caller

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  await assertKeys(house.services.pools.system, parseKeyring(TEST_ENCRYPTION_KEYS))
  const { urls, ownerUrl } = house.database
  vi.stubEnv('NODE_ENV', 'test')
  vi.stubEnv('LOG_LEVEL', 'silent')
  vi.stubEnv('AUTH_SECRET', TEST_AUTH_SECRET)
  vi.stubEnv('ENCRYPTION_KEYS', `other:${ANOTHER},${TEST_ENCRYPTION_KEYS.replace(/:.*/, `:${ANOTHER}`)}`)
  vi.stubEnv('DATABASE_URL', ownerUrl)
  vi.stubEnv('DIRECT_URL', ownerUrl)
  for (const [name, url] of Object.entries(loginEnvironment(urls))) vi.stubEnv(name, url)
  beside = processServices()
  caller = createCaller(beside, { headers: { authorization: ada.authorization } })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await beside.pools.close()
  await house.close()
})

const CONNECTOR = { kind: 'remote', name: 'x', url: 'https://mcp.example.com', headers: { a: 'b' } } as const
const KEY = { provider: 'openai', value: 'sk-0123456789abcdefghijklmn' } as const

async function stored(): Promise<{ keys: string[]; connectors: number }> {
  const keys = await house.owner.query<{ key: string }>(
    `select split_part(value, '.', 2) as key from app.provider_keys`,
  )
  const connectors = await house.owner.query('select from app.connectors')
  return { keys: keys.rows.map(({ key }) => key), connectors: connectors.rows.length }
}

test('a process with other keys than the servers’ has its services once, and seals nothing', async () => {
  expect(processServices()).toBe(beside)
  const asked = vi.spyOn(beside.pools.system, 'keepKeyringCheck')
  expect((await caller.tasks.list()).items).toEqual([])
  expect(await caller.keys.list()).toEqual([])
  expect(asked).not.toHaveBeenCalled()

  const refused = await Promise.allSettled([caller.keys.set(KEY), caller.connectors.create(CONNECTOR)])
  for (const one of refused) {
    expect(one).toMatchObject({
      status: 'rejected',
      reason: { code: 'INTERNAL_SERVER_ERROR', cause: expect.any(WrongKeysError) },
    })
    if (one.status === 'rejected') expect(String(one.reason.cause)).not.toContain(ANOTHER)
  }
  expect(asked).toHaveBeenCalled()
  expect(await stored()).toEqual({ keys: [], connectors: 0 })
  const { rows } = await house.owner.query('select key_id from app.keyring_checks')
  expect(rows).toEqual([{ key_id: parseKeyring(TEST_ENCRYPTION_KEYS).currentKeyId }])
})

test('it asks again after a refusal, and never again once its keys are those in use', async () => {
  await house.owner.query('delete from app.keyring_checks')
  const asked = vi.spyOn(beside.pools.system, 'keepKeyringCheck').mockClear()
  await Promise.all([caller.keys.set(KEY), caller.connectors.create(CONNECTOR)])
  await caller.keys.set(KEY)
  expect(asked).toHaveBeenCalledOnce()
  expect(await stored()).toEqual({ keys: ['other'], connectors: 1 })
})

test('who has no credential is refused before the keys are looked at', async () => {
  const asked = vi.spyOn(beside.pools.system, 'keepKeyringCheck').mockClear()
  const call = createCaller(beside, { headers: {} }).keys.set(KEY)
  await expect(call).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  expect(asked).not.toHaveBeenCalled()
})
