import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
  PASSWORD,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'
import { rowsOf } from './erasure-fixture.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

const UNAUTHENTICATED = { code: 'UNAUTHORIZED', reason: 'unauthenticated' }
const LAST_OWNER = { code: 'CONFLICT', reason: 'last_owner' }
const UNCONFIRMED = { code: 'BAD_REQUEST', reason: 'invalid_input' }

/** An actor whose sign-in is too old to count as fresh. */
async function createSettledActor(name: string): Promise<Actor> {
  const actor = await createActor(house, { name })
  await house.owner.query(
    `update auth.sessions set created_at = now() - interval '11 minutes' where id = $1`,
    [actor.sessionId],
  )
  return actor
}

async function exists({ userId }: Actor): Promise<boolean> {
  const { rowCount } = await house.owner.query('select from auth.users where id = $1', [userId])
  return rowCount === 1
}

describe('account.remove', () => {
  it('removes the user, all their rows and all their credentials', async () => {
    const [ada, bob] = [await createSettledActor('Ada'), await createActor(house, { name: 'Bob' })]
    const { caller } = await createApiToken(ada, { scopes: ['tasks:read'] })
    const task = await ada.caller().tasks.create({ prompt: 'tidy up' })
    await ada.caller().tasks.logs.append({ taskId: task.id, entries: [{ type: 'info', message: 'tidying' }] })
    await ada.caller().tasks.messages.send({ taskId: task.id, content: 'go on' })
    await ada.caller().settings.set({ key: 'theme', value: 'dark' })
    const kept = await bob.caller().tasks.create({ prompt: 'stay' })
    expect(await rowsOf(house, ada.userId)).toEqual(
      expect.arrayContaining([
        'app.tasks',
        'app.task_logs',
        'app.task_messages',
        'app.settings',
        'app.api_tokens',
      ]),
    )

    expect(await ada.caller().account.remove({ password: PASSWORD })).toEqual({ id: ada.userId })
    expect(await exists(ada)).toBe(false)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    expect(await refusalOf(ada.caller().account.me())).toMatchObject(UNAUTHENTICATED)
    expect(await refusalOf(caller().account.me())).toMatchObject(UNAUTHENTICATED)
    await expect(bob.caller().tasks.get({ id: kept.id })).resolves.toMatchObject({ id: kept.id })
  })

  it('accepts a sign-in of the last ten minutes instead of the password', async () => {
    const ada = await createActor(house)
    await ada.caller().account.remove()
    expect(await exists(ada)).toBe(false)
  })

  it('rejects an older session without the password', async () => {
    const ada = await createSettledActor('Ada')
    expect(await refusalOf(ada.caller().account.remove())).toMatchObject(UNCONFIRMED)
    expect(await refusalOf(ada.caller().account.remove({}))).toMatchObject(UNCONFIRMED)
    expect(await exists(ada)).toBe(true)
  })

  it('rejects a wrong password, even from a fresh sign-in', async () => {
    const ada = await createActor(house)
    expect(await refusalOf(ada.caller().account.remove({ password: 'wrong' }))).toMatchObject(UNCONFIRMED)
    expect(await refusalOf(ada.caller().account.remove({ password: '' }))).toMatchObject({
      code: 'BAD_REQUEST',
    })
    expect(await exists(ada)).toBe(true)
  })

  it('allows ten attempts in 15 minutes, right or wrong, over all sessions at once', async () => {
    const [ada, bob] = [await createSettledActor('Ada'), await createSettledActor('Bob')]
    const attempts = await Promise.all(
      Array.from({ length: 30 }, () => refusalOf(ada.caller().account.remove({ password: 'wrong' }))),
    )
    const reasons = attempts.map(attempt => attempt.reason)
    expect(reasons.filter(reason => reason === 'invalid_input')).toHaveLength(10)
    expect(reasons.filter(reason => reason === 'rate_limited')).toHaveLength(20)
    expect(await refusalOf(ada.caller().account.remove({ password: PASSWORD }))).toMatchObject({
      code: 'TOO_MANY_REQUESTS',
    })
    expect(await exists(ada)).toBe(true)
    await expect(bob.caller().account.remove({ password: PASSWORD })).resolves.toEqual({ id: bob.userId })
  })

  it('holds no connection while the password is checked', async () => {
    const busy: number[] = []
    const watched = await openHouse({
      verifyPassword: async () => {
        const { total, idle } = watched.services.pools.usage().api
        busy.push(total - idle)
        return true
      },
    })
    try {
      const ada = await createActor(watched)
      await ada.caller().account.remove({ password: PASSWORD })
      expect(busy).toEqual([0])
    } finally {
      await watched.close()
    }
  })

  it('also removes organizations without other members', async () => {
    const ada = await createActor(house)
    const { id } = await createOrganization(ada)
    await ada.caller().account.remove()
    const { rowCount } = await house.owner.query('select from auth.organizations where id = $1', [id])
    expect(rowCount).toBe(0)
  })

  it('rejects the sole owner of an organization with other members, and removes nothing', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    await createOrganization(ada, [{ actor: bob, role: 'admin' }])
    const alone = await createOrganization(ada)
    expect(await refusalOf(ada.caller().account.remove())).toMatchObject(LAST_OWNER)
    await expect(ada.caller({ 'x-organization-id': alone.id }).account.me()).resolves.toMatchObject({
      organization: { role: 'owner' },
    })
    await expect(bob.caller().account.remove()).resolves.toEqual({ id: bob.userId })
    await expect(ada.caller().account.remove()).resolves.toEqual({ id: ada.userId })
  })

  it('removes one of two owners who leave at once, if other members need the other', async () => {
    for (let round = 0; round < 5; round++) {
      const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
      const member = await createActor(house, { name: 'Mia' })
      await createOrganization(ada, [{ actor: bob, role: 'owner' }, member])
      const outcomes = await Promise.allSettled([
        ada.caller().account.remove(),
        bob.caller().account.remove(),
      ])
      expect(outcomes.map(outcome => outcome.status).sort()).toEqual(['fulfilled', 'rejected'])
      const rejected = outcomes.find(outcome => outcome.status === 'rejected')
      expect(await refusalOf(Promise.reject(rejected?.reason))).toMatchObject(LAST_OWNER)
    }
  })

  it('also removes an organization whose only other member leaves at the same moment', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    const { id } = await createOrganization(ada, [{ actor: bob, role: 'owner' }])
    await whileWaiting(
      house,
      {
        locked: ['select from auth.organizations where id = $1 for update', [id]],
        meanwhile: [['delete from auth.users where id = $1', [ada.userId]]],
      },
      () => bob.caller().account.remove(),
    )
    const { rowCount } = await house.owner.query('select from auth.organizations where id = $1', [id])
    expect(rowCount).toBe(0)
  })
})
