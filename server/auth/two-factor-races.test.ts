import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse, startSession } from '../testing/actors.ts'
import { whileHeld } from '../testing/claims.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const SWITCH_ON = 'update auth.users set two_factor_enabled = true where id = $1'
const SIGN_IN = `insert into auth.sessions (user_id, token, expires_at) values ($1, $2, now() + interval '7 days')`

async function sessionsWithoutFactor({ userId }: Actor): Promise<number> {
  const { rows } = await house.owner.query(
    'select count(*)::int as n from auth.sessions where user_id = $1 and second_factor_at is null',
    [userId],
  )
  return rows[0].n
}

describe('a sign-in by password and the moment that the second factor is switched on take turns:', () => {
  it('a sign-in that comes second is refused', async () => {
    const ada = await createActor(house)
    const late = whileHeld(house, {
      hold: client => client.query(SWITCH_ON, [ada.userId]),
      call: () => startSession(ada),
    })
    await expect(late).rejects.toMatchObject({ constraint: 'sessions_second_factor_check' })
    expect(await sessionsWithoutFactor(ada)).toBe(0)
  })

  it('a sign-in that came first is ended', async () => {
    const ada = await createActor(house)
    await whileHeld(house, {
      hold: client => client.query(SIGN_IN, [ada.userId, `token of ${ada.userId}`]),
      call: () => house.owner.query(SWITCH_ON, [ada.userId]),
    })
    expect(await sessionsWithoutFactor(ada)).toBe(0)
  })
})
