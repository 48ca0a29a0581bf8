import { afterAll, beforeAll, expect, test } from 'vitest'
import { type House, openHouse } from '#server/testing/actors.ts'
import { findProvider, REGISTRY } from './registry.ts'
import { CONNECTION_SETTINGS } from './schema.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

test('the registry has a record for exactly the providers that the database allows', async () => {
  const { rows } = await house.owner.query<{ check: string }>(
    `select pg_get_constraintdef(oid) as check from pg_constraint where contypid = 'app.connection_provider'::regtype`,
  )
  const allowed = rows.flatMap(({ check }) => [...check.matchAll(/'(\w+)'/g)].map(([, name]) => name)).sort()
  expect(allowed.length).toBeGreaterThan(0)
  expect(Object.keys(REGISTRY).sort()).toEqual(allowed)
  expect(Object.keys(CONNECTION_SETTINGS).sort()).toEqual(allowed)
})

test('a record is found only by its exact name', () => {
  for (const [name, provider] of Object.entries(REGISTRY)) {
    expect(provider.name).toBe(name)
    expect(findProvider(name)).toBe(provider)
  }
  for (const word of ['', 'google', 'constructor', '__proto__', 'Notion'])
    expect(findProvider(word)).toBeNull()
})

test('no two providers share a variable or a title', () => {
  const records = Object.values(REGISTRY)
  expect(new Set(records.map(({ webhook }) => webhook.secretVariable)).size).toBe(records.length)
  expect(new Set(records.map(({ title }) => title)).size).toBe(records.length)
})
