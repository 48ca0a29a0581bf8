import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type House, openHouse } from '#server/testing/actors.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const take = (key: string) => house.services.pools.system.takeRateLimit(key, 2, 60)

async function endOf(key: string): Promise<Date> {
  const { rows } = await house.owner.query(
    'select expires_at as "expiresAt" from app.rate_limits where key = $1',
    [key],
  )
  return rows[0].expiresAt
}

/** Moves a counter's window this many seconds into the past. */
async function age(key: string, seconds: number): Promise<void> {
  await house.owner.query(
    `update app.rate_limits set window_started_at = window_started_at - make_interval(secs => $2),
       expires_at = expires_at - make_interval(secs => $2) where key = $1`,
    [key, seconds],
  )
}

describe('a rate limit', () => {
  it('allows as many calls as its limit, and returns for others when its window ends', async () => {
    const key = randomUUID()
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => take(key)))
    expect(outcomes.filter(({ isAllowed }) => isAllowed)).toHaveLength(2)
    await age(key, 50)
    const { isAllowed, retryAfterSeconds } = await take(key)
    expect(isAllowed).toBe(false)
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(retryAfterSeconds).toBeLessThanOrEqual(10)
  })

  it('has a window that calls do not prolong, and starts again after it', async () => {
    const key = randomUUID()
    await take(key)
    await age(key, 30)
    const end = await endOf(key)
    for (let n = 0; n < 5; n++) await take(key)
    expect(await endOf(key)).toEqual(end)
    await age(key, 30)
    expect([await take(key), await take(key), await take(key)].map(({ isAllowed }) => isAllowed)).toEqual([
      true,
      true,
      false,
    ])
  })

  it('is swept an hour after its window, not before', async () => {
    const [young, old] = [randomUUID(), randomUUID()]
    await take(young)
    await take(old)
    await age(young, 60 + 3_500)
    await age(old, 60 + 3_601)
    await house.services.pools.system.sweep('rateLimits')
    const { rows } = await house.owner.query('select key from app.rate_limits where key = any ($1)', [
      [young, old],
    ])
    expect(rows).toEqual([{ key: young }])
  })
})
