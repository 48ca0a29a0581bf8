import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Actor, createActor, createApiToken, type House, openHouse } from '../actors.ts'
import { serveHouse } from '../http-house.ts'

let house: House
let port: number
let close: () => Promise<void>
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ;({ port, close } = await serveHouse(house.services))
})
beforeEach(async () => {
  ada = await createActor(house)
})
afterAll(async () => {
  await close()
  await house.close()
})

const DAY_MS = 24 * 60 * 60_000

async function call(headers: Record<string, string>): Promise<string[]> {
  const answer = await fetch(`http://127.0.0.1:${port}/trpc/account.me`, { headers })
  expect(answer.status).toBe(200)
  return answer.headers.getSetCookie()
}

const cookieOf = ({ token }: Actor) => ({ cookie: `better-auth.session_token=${encodeURIComponent(token)}` })

async function sessionOf({ sessionId }: Actor): Promise<{ daysLeft: number; isUsed: boolean }> {
  const { rows } = await house.owner.query(
    `select expires_at as "expiresAt", last_used_at > now() - interval '10 seconds' as "isUsed"
     from auth.sessions where id = $1`,
    [sessionId],
  )
  return {
    daysLeft: Math.round((rows[0].expiresAt.getTime() - Date.now()) / DAY_MS),
    isUsed: rows[0].isUsed,
  }
}

/** A session that was last used an hour ago, with so many days left. */
async function age({ sessionId }: Actor, daysLeft: number, slides = true): Promise<void> {
  await house.owner.query(
    `update auth.sessions set last_used_at = now() - interval '1 hour', slides = $3,
       expires_at = now() + make_interval(days => $2) where id = $1`,
    [sessionId, daysLeft, slides],
  )
}

describe('the use of a session', () => {
  it('prolongs it when it has less than six days left, and sends its cookie again', async () => {
    await age(ada, 5)
    const [cookie, ...others] = await call(cookieOf(ada))
    expect(others).toEqual([])
    expect(cookie).toContain(cookieOf(ada).cookie)
    expect(cookie).toContain('Max-Age=604800')
    await expect.poll(() => sessionOf(ada)).toEqual({ daysLeft: 7, isUsed: true })
  })

  it('prolongs a bearer’s as well, and sends no cookie', async () => {
    await age(ada, 5)
    expect(await call({ authorization: ada.authorization })).toEqual([])
    await expect.poll(() => sessionOf(ada)).toEqual({ daysLeft: 7, isUsed: true })
  })

  it.each([
    ['has more than six days left', 7, true],
    ['is not to be remembered', 1, false],
  ])('is noted and prolongs none that %s', async (_, daysLeft, slides) => {
    await age(ada, daysLeft, slides)
    expect(await call(cookieOf(ada))).toEqual([])
    await expect.poll(() => sessionOf(ada)).toEqual({ daysLeft, isUsed: true })
  })
})

it('the use of an API token is noted', async () => {
  const token = await createApiToken(ada, { scopes: ['tasks:read'] })
  await call({ authorization: token.authorization })
  const lastUse = async () => (await ada.caller().apiTokens.list())[0]?.lastUsedAt
  await expect.poll(lastUse).toBeInstanceOf(Date)
})
