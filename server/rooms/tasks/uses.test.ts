import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Provider } from '#server/rooms/keys/schema.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'

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

function createConnector(actor: Actor, name = 'Wiki') {
  return actor.caller().connectors.create({ kind: 'remote', name, url: 'https://mcp.example.com/' })
}

interface Uses {
  connectorIds?: string[]
  keyProviders?: Provider[]
}

async function usesOf(taskId: string) {
  const { rows } = await house.owner.query<{ connectors: string[]; keys: string[] }>(
    `select
       array(select connector_id::text from app.task_connectors where task_id = $1 order by 1) as connectors,
       array(select provider from app.task_keys where task_id = $1 order by 1) as keys`,
    [taskId],
  )
  return rows[0]
}

async function countTasks(actor: Actor): Promise<number> {
  return (await actor.caller().tasks.list()).items.length
}

describe('a new task', () => {
  it('stores the connectors and keys that it may use', async () => {
    const one = await createConnector(ada, 'one')
    const two = await createConnector(ada, 'two')
    const task = await ada.caller().tasks.create({
      prompt: 'x',
      connectorIds: [two.id.toUpperCase(), one.id],
      keyProviders: ['openai', 'anthropic'],
    })
    expect(task).toEqual(await ada.caller().tasks.get({ id: task.id }))
    expect(await usesOf(task.id)).toEqual({
      connectors: [one.id, two.id].sort(),
      keys: ['anthropic', 'openai'],
    })
    expect((await ada.caller().usage.today()).tasks.used).toBe(1)
  })

  it('may name connectors only, keys only, or neither', async () => {
    const { id: connectorId } = await createConnector(ada)
    const cases: [Uses, { connectors: string[]; keys: string[] }][] = [
      [{ connectorIds: [connectorId] }, { connectors: [connectorId], keys: [] }],
      [{ keyProviders: ['gemini'] }, { connectors: [], keys: ['gemini'] }],
      [
        { connectorIds: [], keyProviders: [] },
        { connectors: [], keys: [] },
      ],
    ]
    for (const [uses, expected] of cases) {
      const { id } = await ada.caller().tasks.create({ prompt: 'x', ...uses })
      expect(await usesOf(id)).toEqual(expected)
    }
  })

  it('is not created with a missing or foreign connector, and then uses no quota', async () => {
    const { id: mine } = await createConnector(ada)
    const { id: foreign } = await createConnector(bob)
    const missing = '01900000-0000-7000-8000-000000000000'
    const refusals = []
    for (const id of [foreign, missing]) {
      refusals.push(await refusalOf(ada.caller().tasks.create({ prompt: 'x', connectorIds: [mine, id] })))
    }
    expect(refusals[0]).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
    expect(refusals[0]).toEqual(refusals[1])
    expect(await countTasks(ada)).toBe(0)
    expect((await ada.caller().usage.today()).tasks.used).toBe(0)
  })

  it('is not created beyond the quota, and then stores no connectors or keys', async () => {
    const limited = await createActor(house, { name: 'Limited' })
    await limited.caller().settings.set({ key: 'maxTasksPerDay', value: 0 })
    const call = limited.caller().tasks.create({ prompt: 'x', keyProviders: ['openai'] })
    expect(await reasonOf(call)).toBe('daily_quota')
    const { rows } = await house.owner.query('select from app.task_keys where user_id = $1', [limited.userId])
    expect(rows).toEqual([])
  })

  it.each([
    ['a connector twice', { connectorIds: Array(2).fill('01900000-0000-7000-8000-000000000000') }],
    ['an invalid id', { connectorIds: ['x'] }],
    [
      'too many connectors',
      {
        connectorIds: Array.from(
          { length: 51 },
          (_, index) => `01900000-0000-7000-8000-0000000000${String(index).padStart(2, '0')}`,
        ),
      },
    ],
    ['a provider twice', { keyProviders: ['openai', 'openai'] }],
    ['an unknown provider', { keyProviders: ['acme'] }],
  ])('cannot name %s', async (_, uses) => {
    const { code } = await refusalOf(ada.caller().tasks.create({ prompt: 'x', ...(uses as Uses) }))
    expect(code).toBe('BAD_REQUEST')
  })
})
