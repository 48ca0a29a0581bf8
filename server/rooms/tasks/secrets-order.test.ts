import { afterAll, beforeAll, expect, it } from 'vitest'
import { createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import { callerUnder } from '#server/testing/claims.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

it('workers lock keys in one order, so they cannot deadlock', async () => {
  const ada = await createActor(house, { name: 'Ada' })
  // The rows are stored in reverse order.
  for (const provider of ['openai', 'anthropic'] as const)
    await ada.caller().keys.set({ provider, value: `sk-${provider}` })
  await ada.caller().tasks.create({ prompt: 'x', keyProviders: ['openai', 'anthropic'] })
  const token = await createApiToken(ada, { scopes: ['tasks:work', 'keys:reveal'] })
  const claim = await token.caller().tasks.claim({ worker: 'w' })

  // Without an ordered index, only the statement itself can order the locks.
  for (const path of ['indexscan', 'indexonlyscan', 'bitmapscan', 'mergejoin'])
    await house.owner.query(`alter function app.open_task_secrets() set enable_${path} = off`)
  const lock = 'select from app.provider_keys where user_id = $1 and provider = $2 for update'
  const secrets = await whileWaiting(
    house,
    { locked: [lock, [ada.userId, 'anthropic']], meanwhile: [[`${lock} nowait`, [ada.userId, 'openai']]] },
    () => callerUnder(house, claim?.lease ?? '').tasks.secrets(),
  )
  expect(secrets.keys).toMatchObject([{ value: 'sk-anthropic' }, { value: 'sk-openai' }])
})
