import { TRPCError } from '@trpc/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '#server/rpc/errors.ts'
import { type Actor, createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'

const LIMIT = 20

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse({ quotas: { maxTasksPerDay: LIMIT, maxMessagesPerDay: 3 } })
})
afterAll(() => house.close())

describe('daily quotas', () => {
  it('allow exactly the quota of many parallel creates', async () => {
    ada = await createActor(house)
    const calls = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => ada.caller().tasks.create({ prompt: `task ${i}` })),
    )
    const refused = calls.filter(call => call.status === 'rejected')
    expect(calls.length - refused.length).toBe(LIMIT)
    for (const { reason } of refused) {
      expect(reason).toBeInstanceOf(TRPCError)
      expect(reason).toMatchObject({ code: 'TOO_MANY_REQUESTS', cause: { reason: 'daily_quota' } })
    }
    const { rows } = await house.owner.query('select count(*)::int as n from app.tasks where user_id = $1', [
      ada.userId,
    ])
    expect(rows).toEqual([{ n: LIMIT }])
    expect((await ada.caller().usage.today()).tasks).toEqual({ used: LIMIT, limit: LIMIT })
  })

  it('do not decrease when a task is removed', async () => {
    const { items } = await ada.caller().tasks.list()
    await ada.caller().tasks.remove({ id: items[0]?.id ?? '' })
    await expect(ada.caller().tasks.create({ prompt: 'one more' })).rejects.toMatchObject({
      cause: { reason: 'daily_quota' },
    })
  })

  it('return when to try again: at midnight UTC', async () => {
    const error = await ada
      .caller()
      .tasks.create({ prompt: 'one more' })
      .catch((thrown: TRPCError) => thrown.cause)
    const midnight = new Date()
    midnight.setUTCHours(24, 0, 0, 0)
    expect(error).toBeInstanceOf(AppError)
    expect((error as AppError).details.retryAt).toEqual(midnight)
    expect((await ada.caller().usage.today()).resetsAt).toEqual(midnight)
  })

  it('count messages separately, and not failed ones', async () => {
    const eve = await createActor(house)
    const task = await eve.caller().tasks.create({ prompt: 'x' })
    await eve.caller().tasks.messages.send({ taskId: task.id, content: 'one' })
    await expect(
      eve.caller().tasks.messages.send({ taskId: '00000000-0000-4000-8000-000000000000', content: 'lost' }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await eve.caller().usage.today()).toMatchObject({
      tasks: { used: 1, limit: LIMIT },
      messages: { used: 1, limit: 3 },
    })
  })

  it('can be lowered, but not raised, by a user', async () => {
    const eve = await createActor(house)
    await eve.caller().settings.set({ key: 'maxTasksPerDay', value: 1 })
    await eve.caller().settings.set({ key: 'maxMessagesPerDay', value: 1_000 })
    const usage = await eve.caller().usage.today()
    expect([usage.tasks.limit, usage.messages.limit]).toEqual([1, 3])
    await eve.caller().tasks.create({ prompt: 'x' })
    await expect(eve.caller().tasks.create({ prompt: 'x' })).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
    })
  })

  it('can be read with any credential', async () => {
    const token = await createApiToken(ada, { scopes: ['settings:read'] })
    expect((await token.caller().usage.today()).tasks.used).toBe(LIMIT)
  })

  it('cannot be written except by the function that counts', async () => {
    const { rows } = await house.owner.query(
      `select privilege_type from information_schema.role_table_grants
       where table_name = 'daily_usage' and grantee = 'rowhouse_api'`,
    )
    expect(rows).toEqual([{ privilege_type: 'SELECT' }])
  })
})
