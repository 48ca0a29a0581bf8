import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Actor, createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import { hintOf } from './queries.ts'
import { keyWarning, PROVIDERS, type Provider } from './schema.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

/** A key in Anthropic's format. */
const VALUE = 'sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz-WXYZ'

async function storedKeys(actor: Actor) {
  const { rows } = await house.owner.query<{ id: string; provider: string; value: string }>(
    'select id, provider, value from app.provider_keys where user_id = $1 order by provider',
    [actor.userId],
  )
  return rows
}

describe('a key', () => {
  it('is stored sealed and shown by its last four characters', async () => {
    const answer = await ada.caller().keys.set({ provider: 'anthropic', value: VALUE })
    expect(answer).toEqual({
      provider: 'anthropic',
      hint: 'WXYZ',
      unreadable: false,
      warning: null,
      lastUsedAt: null,
      createdAt: expect.any(Date),
      updatedAt: expect.any(Date),
    })
    const { warning: _, ...listed } = answer
    expect(await ada.caller().keys.list()).toEqual([listed])
    const [stored] = await storedKeys(ada)
    expect(stored?.value).toMatch(/^rh1\./)
    expect(stored?.value).not.toContain(VALUE.slice(4, 12))
  })

  it('can be revealed, which counts as a use and not as a change', async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: VALUE })
    const [before] = await ada.caller().keys.list()
    expect(await ada.caller().keys.reveal({ provider: 'anthropic' })).toEqual({ value: VALUE })
    const [after] = await ada.caller().keys.list()
    expect(after).toEqual({ ...before, lastUsedAt: expect.any(Date) })
  })

  it('replaces the previous one, and is unused', async () => {
    const { createdAt } = await ada.caller().keys.set({ provider: 'openai', value: 'the first one' })
    await ada.caller().keys.reveal({ provider: 'openai' })
    const [first] = await storedKeys(ada)
    const second = await ada.caller().keys.set({ provider: 'openai', value: 'the second one' })
    expect(second).toMatchObject({ createdAt, lastUsedAt: null })
    expect(second.updatedAt.getTime()).toBeGreaterThanOrEqual(createdAt.getTime())
    expect(await ada.caller().keys.reveal({ provider: 'openai' })).toEqual({ value: 'the second one' })
    const [stored, ...others] = await storedKeys(ada)
    expect(others).toEqual([])
    expect(stored?.value).not.toBe(first?.value)
  })

  it('is trimmed of white space', async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: ` \t${VALUE}\r\n` })
    expect(await ada.caller().keys.reveal({ provider: 'anthropic' })).toEqual({ value: VALUE })
  })

  it('can be removed', async () => {
    await ada.caller().keys.set({ provider: 'cursor', value: VALUE })
    expect(await ada.caller().keys.remove({ provider: 'cursor' })).toEqual({ provider: 'cursor' })
    expect(await ada.caller().keys.list()).toEqual([])
    expect(await reasonOf(ada.caller().keys.remove({ provider: 'cursor' }))).toBe('not_found')
    expect(await reasonOf(ada.caller().keys.reveal({ provider: 'cursor' }))).toBe('not_found')
  })

  it('is stored once, even if many callers set it at once', async () => {
    const values = Array.from({ length: 100 }, (_, index) => `a key of its own, number ${index}`)
    await Promise.all(values.map(value => ada.caller().keys.set({ provider: 'gemini', value })))
    expect(await storedKeys(ada)).toHaveLength(1)
    const { value } = await ada.caller().keys.reveal({ provider: 'gemini' })
    expect(values).toContain(value)
  })

  it('is visible to its owner only', async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: VALUE })
    expect(await bob.caller().keys.list()).toEqual([])
    expect(await reasonOf(bob.caller().keys.reveal({ provider: 'anthropic' }))).toBe('not_found')
    expect(await reasonOf(bob.caller().keys.remove({ provider: 'anthropic' }))).toBe('not_found')
    await bob.caller().keys.set({ provider: 'anthropic', value: 'another one' })
    expect(await ada.caller().keys.reveal({ provider: 'anthropic' })).toEqual({ value: VALUE })
  })

  it('cannot be revealed with a token that lacks keys:reveal', async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: VALUE })
    const writing = await createApiToken(ada, { scopes: ['keys:read', 'keys:write'] })
    expect(await writing.caller().keys.list()).toHaveLength(1)
    expect(await reasonOf(writing.caller().keys.reveal({ provider: 'anthropic' }))).toBe('missing_scope')
    const revealing = await createApiToken(ada, { scopes: ['keys:reveal'] })
    expect(await revealing.caller().keys.reveal({ provider: 'anthropic' })).toEqual({ value: VALUE })
    expect(await reasonOf(revealing.caller().keys.list())).toBe('missing_scope')
    expect(await reasonOf(revealing.caller().keys.set({ provider: 'anthropic', value: 'x' }))).toBe(
      'missing_scope',
    )
  })

  it.each([
    ['of an unknown provider', { provider: 'acme', value: VALUE }],
    ['that is empty', { provider: 'openai', value: '' }],
    ['of white space', { provider: 'openai', value: ' \n' }],
    ['with NUL', { provider: 'openai', value: 'x\0y' }],
    ['with a lone surrogate', { provider: 'openai', value: 'x\ud800' }],
    ['that is too long', { provider: 'openai', value: 'x'.repeat(4_097) }],
    ['for another user', { provider: 'openai', value: VALUE, userId: 'x' }],
  ])('%s is rejected', async (_, input) => {
    expect((await refusalOf(ada.caller().keys.set(input as never))).code).toBe('BAD_REQUEST')
    expect(await storedKeys(ada)).toEqual([])
  })
})

describe('a key that cannot be decrypted', () => {
  async function seal(actor: Actor, provider: 'anthropic' | 'openai', value: string): Promise<void> {
    await actor.caller().keys.set({ provider, value })
  }

  async function copy(to: { actor: Actor; provider: string }, value: string): Promise<void> {
    await house.owner.query('update app.provider_keys set value = $3 where user_id = $1 and provider = $2', [
      to.actor.userId,
      to.provider,
      value,
    ])
  }

  async function expectUnreadable(): Promise<void> {
    expect(await ada.caller().keys.list()).toMatchObject([
      { provider: 'anthropic', unreadable: true, hint: 'WXYZ' },
      { provider: 'openai', unreadable: false },
    ])
    const refusal = await refusalOf(ada.caller().keys.reveal({ provider: 'anthropic' }))
    expect(refusal).toMatchObject({ reason: 'value_unreadable', code: 'UNPROCESSABLE_CONTENT' })
    expect(await ada.caller().keys.reveal({ provider: 'openai' })).toEqual({ value: 'the other one' })
  }

  beforeEach(async () => {
    await seal(ada, 'anthropic', VALUE)
    await seal(ada, 'openai', 'the other one')
  })

  it('because it was copied from another row of the same owner is the only unreadable one', async () => {
    const [, other] = await storedKeys(ada)
    await copy({ actor: ada, provider: 'anthropic' }, other?.value ?? '')
    await expectUnreadable()
  })

  it('because it was copied from another user is the only unreadable one', async () => {
    await seal(bob, 'anthropic', 'the key of Bob')
    const [foreign] = await storedKeys(bob)
    await copy({ actor: ada, provider: 'anthropic' }, foreign?.value ?? '')
    await expectUnreadable()
  })

  it('because the whole row was moved to another user is unreadable there', async () => {
    const carol = await createActor(house, { name: 'Carol' })
    await house.owner.query('update app.provider_keys set user_id = $2 where user_id = $1', [
      ada.userId,
      carol.userId,
    ])
    expect(await carol.caller().keys.list()).toMatchObject([{ unreadable: true }, { unreadable: true }])
  })

  it('because it was copied from another column is the only unreadable one', async () => {
    const { id } = await ada.caller().connectors.create({
      kind: 'remote',
      name: 'x',
      url: 'https://mcp.example.com',
      oauthClientSecret: VALUE,
    })
    const [before] = await storedKeys(ada)
    // Uses the same row id, so that only the column differs.
    await house.owner.query(
      `update app.provider_keys p set id = c.id, value = c.oauth_client_secret
       from app.connectors c where c.user_id = p.user_id and c.id = $1 and p.id = $2`,
      [id, before?.id],
    )
    await expectUnreadable()
  })

  it('because its encryption key was removed is the only unreadable one', async () => {
    const [stored] = await storedKeys(ada)
    await copy(
      { actor: ada, provider: 'anthropic' },
      (stored?.value ?? '').replace(/^rh1\.[^.]+/, 'rh1.gone'),
    )
    await expectUnreadable()
  })

  it('can be set again', async () => {
    const [, other] = await storedKeys(ada)
    await copy({ actor: ada, provider: 'anthropic' }, other?.value ?? '')
    await seal(ada, 'anthropic', VALUE)
    expect(await ada.caller().keys.reveal({ provider: 'anthropic' })).toEqual({ value: VALUE })
  })
})

describe('a hint', () => {
  it.each([
    ['x'.repeat(60).concat('WXYZ'), 'WXYZ'],
    ['01234567WXYZ', 'WXYZ'],
    ['01234567XYZ', 'YZ'],
    ['012345YZ', 'YZ'],
    ['1234567', ''],
    [`${'x'.repeat(31)}\u{1f511}`, 'xxx\u{1f511}'],
  ])('shows few characters of %s', (value, hint) => {
    expect(hintOf(value)).toBe(hint)
  })
})

describe('a warning', () => {
  const samples = {
    anthropic: VALUE,
    openai: `sk-proj-${'a1B2'.repeat(12)}`,
    cursor: `key_${'0a'.repeat(32)}`,
    gemini: `AIzaSy${'aB3-_'.repeat(6)}xyz`,
    aigateway: `vck_${'aB3'.repeat(16)}`,
  } as const satisfies Partial<Record<Provider, string>>

  it.each(Object.entries(samples))('is not returned for a key in the format of %s', (provider, sample) => {
    expect(keyWarning(provider as Provider, sample)).toBeNull()
  })

  it.each(PROVIDERS)('is not returned for any prefix that it names for %s', provider => {
    const prefixes = [...(keyWarning(provider, '-') ?? '').matchAll(/"(\S+?)"/g)].slice(1)
    expect(prefixes).not.toEqual([])
    for (const [, prefix = ''] of prefixes)
      expect(keyWarning(provider, prefix + 'aB3d5'.repeat(7)), prefix).toBeNull()
  })

  it.each(PROVIDERS)(
    'is returned for another provider’s key for %s, which is stored anyway',
    async provider => {
      const other = provider === 'openai' ? 'anthropic' : 'openai'
      const { warning } = await ada.caller().keys.set({ provider, value: samples[other] })
      expect(warning).toContain(provider)
      expect(warning).not.toContain(samples[other])
      expect(await ada.caller().keys.reveal({ provider })).toEqual({ value: samples[other] })
    },
  )

  it('is returned for white space in the middle', () => {
    expect(keyWarning('openai', `${samples.openai} ${samples.openai}`)).toContain('white space')
  })
})
