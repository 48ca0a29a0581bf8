import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

const UNKNOWN = '0198a000-0000-7000-8000-000000000000'
const UNAUTHENTICATED = { code: 'UNAUTHORIZED', reason: 'unauthenticated' }

/** Calls the procedures with this token. */
const callerWith = (token: string) => anonymous(house, { authorization: `Bearer ${token}` })

describe('apiTokens.rotate', () => {
  it('creates a token with the old one’s name, scopes, organization and expiry, and ends that', async () => {
    const ada = await createActor(house)
    const { id: organizationId } = await createOrganization(ada)
    const expiresAt = new Date(Date.now() + 60_000)
    const old = await ada
      .caller()
      .apiTokens.create({ name: 'ci', scopes: ['tasks:read', 'keys:reveal'], expiresAt, organizationId })

    const rotated = await ada.caller().apiTokens.rotate({ id: old.id })
    expect(rotated).toEqual({
      ...old,
      id: rotated.id,
      token: rotated.token,
      prefix: rotated.token.slice(0, 10),
      createdAt: expect.any(Date),
    })
    expect(rotated.token).not.toBe(old.token)
    expect(await refusalOf(callerWith(old.token).account.me())).toMatchObject(UNAUTHENTICATED)
    await expect(callerWith(rotated.token).account.me()).resolves.toMatchObject({ user: { id: ada.userId } })
    const [newest, oldest] = await ada.caller().apiTokens.list()
    expect(newest).toMatchObject({ id: rotated.id, replacedBy: null, graceUntil: null })
    expect(oldest).toMatchObject({ id: old.id, replacedBy: rotated.id, graceUntil: expect.any(Date) })
  })

  it('keeps the old token valid during the grace period, and not after it', async () => {
    const ada = await createActor(house)
    const old = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'] })
    await ada.caller().apiTokens.rotate({ id: old.id, graceSeconds: 3_600 })

    await expect(callerWith(old.token).tasks.list({})).resolves.toMatchObject({ items: [] })
    await house.owner.query(`update app.api_tokens set grace_until = now() - interval '1 ms' where id = $1`, [
      old.id,
    ])
    expect(await refusalOf(callerWith(old.token).tasks.list({}))).toMatchObject(UNAUTHENTICATED)
  })

  it('allows revoking a rotated token during its grace period', async () => {
    const ada = await createActor(house)
    const old = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'] })
    const rotated = await ada.caller().apiTokens.rotate({ id: old.id, graceSeconds: 3_600 })
    await ada.caller().apiTokens.revoke({ id: old.id })
    expect(await refusalOf(callerWith(old.token).account.me())).toMatchObject(UNAUTHENTICATED)
    await expect(callerWith(rotated.token).tasks.list({})).resolves.toMatchObject({ items: [] })
  })

  it.each(['revoked', 'rotated', 'expired'] as const)('rejects a token that is %s', async state => {
    const ada = await createActor(house)
    const { id } = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'] })
    if (state === 'revoked') await ada.caller().apiTokens.revoke({ id })
    if (state === 'rotated') await ada.caller().apiTokens.rotate({ id, graceSeconds: 60 })
    if (state === 'expired') {
      await house.owner.query(
        `update app.api_tokens set expires_at = now() - interval '1 ms' where id = $1`,
        [id],
      )
    }
    const before = await ada.caller().apiTokens.list()
    expect(await refusalOf(ada.caller().apiTokens.rotate({ id }))).toEqual({
      code: 'CONFLICT',
      reason: 'illegal_transition',
      message: `cannot rotate API token "${id}": it is ${state}`,
    })
    expect(await ada.caller().apiTokens.list()).toEqual(before)
  })

  it('succeeds for one of twenty concurrent rotations', async () => {
    const ada = await createActor(house)
    const old = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'] })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => ada.caller().apiTokens.rotate({ id: old.id, graceSeconds: 60 })),
    )

    const winners = outcomes.filter(outcome => outcome.status === 'fulfilled')
    expect(winners).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      expect(outcome.reason).toMatchObject({
        code: 'CONFLICT',
        message: `cannot rotate API token "${old.id}": it is rotated`,
      })
    }
    const listed = await ada.caller().apiTokens.list()
    expect(listed).toHaveLength(2)
    expect(listed[1]?.replacedBy).toBe(winners[0]?.value.id)
  })

  it('serializes with a revocation: the second of the two sees the first', async () => {
    const ada = await createActor(house)
    for (let round = 0; round < 10; round++) {
      const { id } = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'] })
      const [rotated] = await Promise.allSettled([
        ada.caller().apiTokens.rotate({ id }),
        ada.caller().apiTokens.revoke({ id }),
      ])
      const { rows } = await house.owner.query('select * from app.api_tokens where id = $1', [id])
      const [row] = rows
      expect(row?.revoked_at).toBeInstanceOf(Date)
      expect(row?.replaced_by !== null).toBe(rotated.status === 'fulfilled')
    }
  })

  it("answers for another user's token as for a missing one", async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const { id } = await createApiToken(ada, { scopes: ['tasks:read'] })
    const missing = await refusalOf(eve.caller().apiTokens.rotate({ id: UNKNOWN }))
    expect(missing).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
    expect(await refusalOf(eve.caller().apiTokens.rotate({ id }))).toEqual(missing)
    expect(await eve.caller().apiTokens.list()).toEqual([])
  })

  it.each([-1, 0.5, 7 * 24 * 3_600 + 1])('rejects a grace period of %d seconds', async graceSeconds => {
    const ada = await createActor(house)
    const { id } = await createApiToken(ada, { scopes: ['tasks:read'] })
    expect(await refusalOf(ada.caller().apiTokens.rotate({ id, graceSeconds }))).toMatchObject({
      code: 'BAD_REQUEST',
    })
  })
})
