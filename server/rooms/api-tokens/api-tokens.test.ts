import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { isApiToken } from './format.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

const UNKNOWN = '0198a000-0000-7000-8000-000000000000'

/** Calls the procedures with this token. */
const callerWith = (token: string) => anonymous(house, { authorization: `Bearer ${token}` })

const UNAUTHENTICATED = { code: 'UNAUTHORIZED', reason: 'unauthenticated' }

async function storedToken(id: string): Promise<Record<string, unknown> | undefined> {
  const { rows } = await house.owner.query('select * from app.api_tokens where id = $1', [id])
  return rows[0]
}

describe('apiTokens.create', () => {
  it('creates a token that works at once, within its scopes', async () => {
    const ada = await createActor(house)
    const expiresAt = new Date(Date.now() + 60_000)
    const created = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'], expiresAt })

    expect(created).toEqual({
      id: expect.any(String),
      token: expect.toSatisfy(isApiToken),
      prefix: created.token.slice(0, 10),
      name: 'ci',
      scopes: ['tasks:read'],
      organizationId: null,
      expiresAt,
      createdAt: expect.any(Date),
    })
    const program = callerWith(created.token)
    await expect(program.tasks.list({})).resolves.toEqual({ items: [], nextCursor: null })
    expect(await refusalOf(program.tasks.create({ prompt: 'no' }))).toMatchObject({ reason: 'missing_scope' })
    expect(await refusalOf(program.settings.all())).toMatchObject({
      code: 'FORBIDDEN',
      reason: 'missing_scope',
    })
  })

  it('lets a write scope also read', async () => {
    const ada = await createActor(house)
    const { token } = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:write'] })
    await expect(callerWith(token).tasks.list({})).resolves.toMatchObject({ items: [] })
  })

  it('stores neither the token nor the hash that statements send', async () => {
    const ada = await createActor(house)
    const { id, token } = await ada.caller().apiTokens.create({ name: 'ci', scopes: ['tasks:read'] })
    const row = JSON.stringify(await storedToken(id))
    expect(row).not.toContain(token)
    expect(row).not.toContain(token.slice(11))
    const stored = (await storedToken(id))?.token_hash as Buffer
    expect(await refusalOf(callerWith(stored.toString('hex')).account.me())).toMatchObject(UNAUTHENTICATED)
  })

  it.each([
    ['no scope', { name: 'ci', scopes: [] }],
    ['an unknown scope', { name: 'ci', scopes: ['tasks:*'] }],
    ['a scope twice', { name: 'ci', scopes: ['tasks:read', 'tasks:read'] }],
    ['an expiry in the past', { name: 'ci', scopes: ['tasks:read'], expiresAt: new Date(Date.now() - 1) }],
    ['an expiry that is not a date', { name: 'ci', scopes: ['tasks:read'], expiresAt: new Date(Number.NaN) }],
    ['a blank name', { name: '  ', scopes: ['tasks:read'] }],
    ['a name that is too long', { name: 'x'.repeat(101), scopes: ['tasks:read'] }],
    ['a name with NUL', { name: 'a\0b', scopes: ['tasks:read'] }],
    ['an owner', { name: 'ci', scopes: ['tasks:read'], userId: UNKNOWN }],
    ['a hash', { name: 'ci', scopes: ['tasks:read'], tokenHash: 'ab' }],
  ])('rejects %s', async (_what, input) => {
    const ada = await createActor(house)
    expect(await refusalOf(ada.caller().apiTokens.create(input as never))).toMatchObject({
      code: 'BAD_REQUEST',
    })
    expect(await ada.caller().apiTokens.list()).toEqual([])
  })

  it('binds a token to an organization of the caller, the only one in which it can act', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    const theirs = await createOrganization(ada, [bob])
    const another = await createOrganization(bob)
    const { token, organizationId } = await bob
      .caller()
      .apiTokens.create({ name: 'bot', scopes: ['tasks:read'], organizationId: theirs.id })

    expect(organizationId).toBe(theirs.id)
    const me = await callerWith(token).account.me()
    expect(me.organization).toEqual({ id: theirs.id, role: 'member' })
    const elsewhere = anonymous(house, { authorization: `Bearer ${token}`, 'x-organization-id': another.id })
    expect(await refusalOf(elsewhere.account.me())).toMatchObject({
      code: 'FORBIDDEN',
      reason: 'not_a_member',
    })
  })

  it('answers for a foreign or removed organization as for a missing one', async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const hers = await createOrganization(ada)
    const bind = (actor: Actor, organizationId: string) =>
      refusalOf(actor.caller().apiTokens.create({ name: 'bot', scopes: ['tasks:read'], organizationId }))

    const missing = await bind(eve, UNKNOWN)
    expect(missing).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
    expect(await bind(eve, hers.id)).toEqual(missing)
    await house.owner.query('update auth.organizations set deleted_at = now() where id = $1', [hers.id])
    expect(await bind(ada, hers.id)).toEqual(missing)
  })

  it('requires a session: no token can create, list, rotate or revoke tokens', async () => {
    const ada = await createActor(house)
    const { id, caller } = await createApiToken(ada, { scopes: ['tasks:write', 'keys:reveal'] })
    const { apiTokens } = caller()
    const calls = [
      () => apiTokens.create({ name: 'child', scopes: ['tasks:read'] }),
      () => apiTokens.list(),
      () => apiTokens.rotate({ id }),
      () => apiTokens.revoke({ id }),
    ]
    for (const call of calls)
      expect(await refusalOf(call())).toMatchObject({ code: 'FORBIDDEN', reason: 'missing_scope' })
    expect(await ada.caller().apiTokens.list()).toHaveLength(1)
  })
})

describe('apiTokens.list', () => {
  it("lists the caller's tokens, newest first, and never a hash", async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const first = await ada.caller().apiTokens.create({ name: 'first', scopes: ['tasks:read'] })
    const second = await ada.caller().apiTokens.create({ name: 'second', scopes: ['tasks:write'] })

    const listed = await ada.caller().apiTokens.list()
    expect(listed.map(token => token.name)).toEqual(['second', 'first'])
    expect(listed[0]).toEqual({
      id: second.id,
      name: 'second',
      prefix: second.prefix,
      scopes: ['tasks:write'],
      organizationId: null,
      expiresAt: null,
      lastUsedAt: null,
      revokedAt: null,
      replacedBy: null,
      graceUntil: null,
      createdAt: second.createdAt,
    })
    expect(JSON.stringify(listed)).not.toContain(first.token.slice(11))
    expect(await eve.caller().apiTokens.list()).toEqual([])
  })

  it('requires a credential', async () => {
    expect(await refusalOf(anonymous(house).apiTokens.list())).toMatchObject(UNAUTHENTICATED)
  })
})

describe('apiTokens.revoke', () => {
  it('makes the token’s next statement fail', async () => {
    const ada = await createActor(house)
    const { id, caller } = await createApiToken(ada, { scopes: ['tasks:read'] })
    const program = caller()
    await program.tasks.list({})

    const revoked = await ada.caller().apiTokens.revoke({ id })
    expect(revoked.revokedAt).toBeInstanceOf(Date)
    expect(await refusalOf(program.tasks.list({}))).toMatchObject(UNAUTHENTICATED)
  })

  it('does not change a revoked token', async () => {
    const ada = await createActor(house)
    const { id } = await createApiToken(ada, { scopes: ['tasks:read'] })
    const once = await ada.caller().apiTokens.revoke({ id })
    expect(await ada.caller().apiTokens.revoke({ id })).toEqual(once)
  })

  it("answers for another user's token as for a missing one, and keeps it valid", async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const { id, caller } = await createApiToken(ada, { scopes: ['tasks:read'] })
    const missing = await refusalOf(eve.caller().apiTokens.revoke({ id: UNKNOWN }))
    expect(missing).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
    expect(await refusalOf(eve.caller().apiTokens.revoke({ id }))).toEqual(missing)
    await expect(caller().tasks.list({})).resolves.toMatchObject({ items: [] })
  })
})

describe('an API token', () => {
  it('is rejected after its expiry', async () => {
    const ada = await createActor(house)
    const { caller } = await createApiToken(ada, {
      scopes: ['tasks:read'],
      expiresAt: new Date(Date.now() - 1),
    })
    expect(await refusalOf(caller().tasks.list({}))).toMatchObject(UNAUTHENTICATED)
  })

  it('is revoked with the membership that it depends on', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { id, caller } = await createApiToken(bob, { scopes: ['tasks:read'], organizationId })
    await caller().tasks.list({})

    await house.owner.query('delete from auth.members where organization_id = $1 and user_id = $2', [
      organizationId,
      bob.userId,
    ])
    expect(await refusalOf(caller().tasks.list({}))).toMatchObject(UNAUTHENTICATED)
    expect(await storedToken(id)).toBeUndefined()
  })

  it('is rejected while its organization is removed', async () => {
    const ada = await createActor(house)
    const { id: organizationId } = await createOrganization(ada)
    const { caller } = await createApiToken(ada, { scopes: ['tasks:read'], organizationId })
    await house.owner.query('update auth.organizations set deleted_at = now() where id = $1', [
      organizationId,
    ])
    expect(await refusalOf(caller().tasks.list({}))).toMatchObject({
      code: 'FORBIDDEN',
      reason: 'not_a_member',
    })
  })

  it('is revoked with its user', async () => {
    const ada = await createActor(house)
    const { caller } = await createApiToken(ada, { scopes: ['tasks:read'] })
    await house.owner.query('delete from auth.users where id = $1', [ada.userId])
    expect(await refusalOf(caller().tasks.list({}))).toMatchObject(UNAUTHENTICATED)
  })
})
