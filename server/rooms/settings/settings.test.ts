import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import type { SetSetting, SettingKey } from './schema.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

describe('settings', () => {
  it('are stored by key, and null if not set', async () => {
    expect(await ada.caller().settings.get({ key: 'theme' })).toBeNull()
    await ada.caller().settings.set({ key: 'theme', value: 'dark' })
    await ada.caller().settings.set({ key: 'timezone', value: 'Europe/Berlin' })
    expect(await ada.caller().settings.get({ key: 'theme' })).toBe('dark')
    await ada.caller().settings.set({ key: 'theme', value: 'light' })
    expect(await ada.caller().settings.all()).toEqual({ theme: 'light', timezone: 'Europe/Berlin' })
  })

  it('can be removed any number of times', async () => {
    await ada.caller().settings.set({ key: 'locale', value: 'de-CH' })
    await ada.caller().settings.unset({ key: 'locale' })
    await ada.caller().settings.unset({ key: 'locale' })
    expect(await ada.caller().settings.get({ key: 'locale' })).toBeNull()
  })

  it('are private: a stranger can neither see nor change them', async () => {
    await ada.caller().settings.set({ key: 'maxTasksPerDay', value: 5 })
    expect(await bob.caller().settings.all()).toEqual({})
    await bob.caller().settings.set({ key: 'maxTasksPerDay', value: 9 })
    await bob.caller().settings.unset({ key: 'maxTasksPerDay' })
    expect(await ada.caller().settings.get({ key: 'maxTasksPerDay' })).toBe(5)
  })

  it('have one value after many concurrent changes', async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => bob.caller().settings.set({ key: 'maxMessagesPerDay', value: i })),
    )
    const { rows } = await house.owner.query(
      `select count(*)::int as n from app.settings where user_id = $1 and key = 'maxMessagesPerDay'`,
      [bob.userId],
    )
    expect(rows).toEqual([{ n: 1 }])
  })

  it.each([
    ['an unknown key', { key: 'isAdmin', value: true }],
    ['a key of the prototype', { key: '__proto__', value: 1 }],
    ['a value of another kind', { key: 'theme', value: 7 }],
    ['a negative limit', { key: 'maxTasksPerDay', value: -1 }],
    ['a fractional limit', { key: 'maxTasksPerDay', value: 1.5 }],
    ['a time zone that does not exist', { key: 'timezone', value: 'Mars/Base' }],
    ['an invalid language tag', { key: 'locale', value: 'not a tag' }],
    ['another owner', { key: 'theme', value: 'dark', userId: 'x' }],
  ])('reject %s', async (_, input) => {
    await expect(ada.caller().settings.set(input as SetSetting)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    })
  })

  it('reject reading or removing an unknown key', async () => {
    const key = 'isAdmin' as SettingKey
    await expect(ada.caller().settings.get({ key })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    await expect(ada.caller().settings.unset({ key })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })

  it('can be read, but not written, by a token with settings:read', async () => {
    const reader = await createApiToken(ada, { scopes: ['settings:read'] })
    expect(await reader.caller().settings.get({ key: 'maxTasksPerDay' })).toBe(5)
    await expect(reader.caller().settings.set({ key: 'theme', value: 'dark' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      cause: { reason: 'missing_scope' },
    })
  })
})
