import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SCOPES } from '#server/rpc/scopes.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

const UNKNOWN = '0198a000-0000-7000-8000-000000000000'
const UNAUTHENTICATED = { code: 'UNAUTHORIZED', reason: 'unauthenticated' }
const SESSION_ONLY = { code: 'FORBIDDEN', reason: 'missing_scope' }

describe('account.me', () => {
  it('returns the session’s user, with every scope', async () => {
    const ada = await createActor(house)
    expect(await ada.caller().account.me()).toEqual({
      user: { id: ada.userId, name: 'Ada', email: ada.email, image: null },
      credential: 'session',
      organization: null,
      scopes: SCOPES,
    })
  })

  it('returns an API token’s scopes and the organization that it is bound to', async () => {
    const ada = await createActor(house)
    const { id: organizationId } = await createOrganization(ada)
    const { caller } = await createApiToken(ada, { scopes: ['tasks:read', 'keys:reveal'], organizationId })
    expect(await caller().account.me()).toEqual({
      user: { id: ada.userId, name: 'Ada', email: ada.email, image: null },
      credential: 'token',
      organization: { id: organizationId, role: 'owner' },
      scopes: ['tasks:read', 'keys:reveal'],
    })
  })

  it('returns the organization of the header, or else the session’s active one', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    const [first, second] = [
      await createOrganization(ada, [{ actor: bob, role: 'admin' }]),
      await createOrganization(bob),
    ]
    await house.owner.query('update auth.sessions set active_organization_id = $1 where id = $2', [
      second.id,
      bob.sessionId,
    ])
    const active = await bob.caller().account.me()
    expect(active.organization).toEqual({ id: second.id, role: 'owner' })
    const named = await bob.caller({ 'x-organization-id': first.id }).account.me()
    expect(named.organization).toEqual({ id: first.id, role: 'admin' })
  })

  it('ignores a stale active organization, and rejects a header with a foreign one', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    const hers = await createOrganization(ada)
    await house.owner.query('update auth.sessions set active_organization_id = $1 where id = $2', [
      hers.id,
      bob.sessionId,
    ])
    expect((await bob.caller().account.me()).organization).toBeNull()
    const foreign = bob.caller({ 'x-organization-id': hers.id }).account.me()
    expect(await refusalOf(foreign)).toMatchObject({ code: 'FORBIDDEN', reason: 'not_a_member' })
  })

  it('requires a valid credential', async () => {
    const ada = await createActor(house)
    expect(await refusalOf(anonymous(house).account.me())).toMatchObject(UNAUTHENTICATED)
    const other = ada.authorization.endsWith('A=') ? 'E=' : 'A='
    const forged = anonymous(house, { authorization: `${ada.authorization.slice(0, -2)}${other}` })
    expect(await refusalOf(forged.account.me())).toMatchObject(UNAUTHENTICATED)
  })
})

describe('account.sessions', () => {
  it("lists the caller's sessions, newest first, and marks the current one", async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const phone = await startSession(ada)
    const listed = await ada.caller().account.sessions()
    expect(listed.map(session => [session.id, session.current])).toEqual([
      [phone.sessionId, false],
      [ada.sessionId, true],
    ])
    expect(listed[0]).toEqual({
      id: phone.sessionId,
      current: false,
      userAgent: 'vitest',
      ipAddress: '192.0.2.1',
      createdAt: expect.any(Date),
      expiresAt: expect.any(Date),
    })
    expect((await eve.caller().account.sessions()).map(session => session.id)).toEqual([eve.sessionId])
  })

  it('requires a session', async () => {
    const ada = await createActor(house)
    const { caller } = await createApiToken(ada, { scopes: [...SCOPES] })
    const { account } = caller()
    const calls = [
      () => account.sessions(),
      () => account.revokeSession({ id: ada.sessionId }),
      () => account.revokeOtherSessions(),
      () => account.export(),
      () => account.remove({ password: 'guess' }),
    ]
    for (const call of calls) expect(await refusalOf(call())).toMatchObject(SESSION_ONLY)
    await expect(ada.caller().account.me()).resolves.toMatchObject({ credential: 'session' })
  })
})

describe('account.revokeSession', () => {
  it('makes the session’s next statement fail', async () => {
    const ada = await createActor(house)
    const phone = await startSession(ada)
    expect(await ada.caller().account.revokeSession({ id: phone.sessionId })).toEqual({ revoked: 1 })
    expect(await refusalOf(phone.caller().account.me())).toMatchObject(UNAUTHENTICATED)
    await expect(ada.caller().account.me()).resolves.toMatchObject({ credential: 'session' })
  })

  it('can revoke the current session', async () => {
    const ada = await createActor(house)
    await ada.caller().account.revokeSession({ id: ada.sessionId })
    expect(await refusalOf(ada.caller().account.me())).toMatchObject(UNAUTHENTICATED)
  })

  it("answers for another user's session as for a missing one, and keeps it", async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const missing = await refusalOf(eve.caller().account.revokeSession({ id: UNKNOWN }))
    expect(missing).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
    expect(await refusalOf(eve.caller().account.revokeSession({ id: ada.sessionId }))).toEqual(missing)
    await expect(ada.caller().account.me()).resolves.toMatchObject({ credential: 'session' })
  })

  it('succeeds for one of ten concurrent callers', async () => {
    const ada = await createActor(house)
    const { sessionId: id } = await startSession(ada)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => ada.caller().account.revokeSession({ id })),
    )
    expect(outcomes.filter(outcome => outcome.status === 'fulfilled')).toHaveLength(1)
  })

  it.each([{}, { id: 'x' }, { id: UNKNOWN, userId: UNKNOWN }])('rejects the input %j', async input => {
    const ada = await createActor(house)
    const call = ada.caller().account.revokeSession(input as never)
    expect(await refusalOf(call)).toMatchObject({ code: 'BAD_REQUEST' })
  })
})

describe('account.revokeOtherSessions', () => {
  it('revokes all sessions of the caller except the current one, and no other user’s', async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const others: Actor[] = [await startSession(ada), await startSession(ada)]
    expect(await ada.caller().account.revokeOtherSessions()).toEqual({ revoked: 2 })
    expect(await ada.caller().account.revokeOtherSessions()).toEqual({ revoked: 0 })
    for (const other of others)
      expect(await refusalOf(other.caller().account.me())).toMatchObject(UNAUTHENTICATED)
    await expect(eve.caller().account.me()).resolves.toMatchObject({ credential: 'session' })
  })
})
