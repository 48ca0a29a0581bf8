import { afterAll, beforeAll, expect, it } from 'vitest'
import { createActor, createApiToken, type House, openHouse } from '../testing/actors.ts'
import { callerUnder } from '../testing/claims.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

it('a worker that waits for a key holds none that comes after it, so that no two wait for each other', async () => {
  const ada = await createActor(house, { name: 'Ada' })
  // In the table, the last one comes first.
  for (const provider of ['openai', 'anthropic'] as const)
    await ada.caller().keys.set({ provider, value: `sk-${provider}` })
  await ada.caller().tasks.create({ prompt: 'x', keyProviders: ['openai', 'anthropic'] })
  const token = await createApiToken(ada, { scopes: ['tasks:work', 'keys:reveal'] })
  const claim = await token.caller().tasks.claim({ worker: 'w' })

  const holder = await house.owner.connect()
  const lock = 'select from app.provider_keys where user_id = $1 and provider = $2 for update'
  try {
    await holder.query('begin')
    await holder.query(lock, [ada.userId, 'anthropic'])
    const secrets = callerUnder(house, claim?.lease ?? '').tasks.secrets()
    const waiting = async () => {
      const { rows } = await holder.query(
        'select count(*)::int as count from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid))',
      )
      return rows[0].count
    }
    await expect.poll(waiting).toBe(1)
    await holder.query(`${lock} nowait`, [ada.userId, 'openai'])
    await holder.query('commit')
    expect((await secrets).keys).toMatchObject([{ value: 'sk-anthropic' }, { value: 'sk-openai' }])
  } finally {
    holder.release(true)
  }
})
