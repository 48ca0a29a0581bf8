import superjson from 'superjson'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSecret } from '#server/crypto/bearer-secrets.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { post, send, type TestAnswer } from './testing-servers.ts'

let house: House
let ada: Actor
let port: number
let close: () => Promise<void>
beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
  ;({ port, close } = await serveHouse(house.services))
})
afterAll(async () => {
  await close()
  await house.close()
})

/** A token that nobody was given, with a right checksum: inputs are read before the database looks it up. */
const forged = { authorization: `Bearer ${createSecret('rht_')}` }
const streamed = { ...forged, 'trpc-accept': 'application/jsonl' }

/** Sends an input in every way that one can come. */
const WAYS: Record<string, (input: string) => Promise<TestAnswer>> = {
  'a call': input => post(port, '/trpc/tasks.create', input, forged),
  'a batch': input => post(port, '/trpc/tasks.create,tasks.create?batch=1', `{"1":${input}}`, forged),
  'a streamed batch': input => post(port, '/trpc/tasks.create?batch=1', `{"0":${input}}`, streamed),
  'an address': input =>
    send(port, { path: `/trpc/tasks.list?input=${encodeURIComponent(input)}`, headers: forged }),
  'a batch in an address': input =>
    send(port, {
      path: `/trpc/tasks.list?batch=1&input=${encodeURIComponent(`{"0":${input}}`)}`,
      headers: forged,
    }),
  'an address with a fragment': input =>
    send(port, { path: `/trpc/tasks.list?input=${encodeURIComponent(input)}#x`, headers: forged }),
  'a live stream': input =>
    send(port, {
      path: `/trpc/tasks.logs.stream?input=${encodeURIComponent(input)}`,
      headers: { ...forged, 'last-event-id': '7' },
    }),
  'a stream that tRPC serves': input =>
    send(port, { path: `/trpc/tasks.logs.stream?input=${encodeURIComponent(input)}#x`, headers: forged }),
}

describe.each(Object.entries(WAYS))('an input that comes by %s', (_way, sendInput) => {
  it.each([
    [{ prompt: new Set(['x']) }, 'the kind \\"set\\"'],
    [{ prompt: [new Map([[1, new Set([2])]])] }, 'the kind \\"map\\"'],
    [{ prompt: /(a+)+$/ }, 'the kind \\"regexp\\"'],
    [{ prompt: new URL('https://a.b') }, 'the kind \\"URL\\"'],
    [{ prompt: new Error('x') }, 'the kind \\"Error\\"'],
    [{ prompt: 10n ** 40n }, 'the kind \\"bigint\\"'],
  ])('is refused for %o, by name', async (input, named) => {
    const { body } = await sendInput(superjson.stringify(input))
    expect(body).toContain('"reason":"invalid_input"')
    expect(JSON.stringify(body)).toContain(JSON.stringify(named).slice(1, -1))
  })

  it('is refused for a path through a prototype', async () => {
    const { body } = await sendInput('{"json":{},"meta":{"values":{"__proto__.x":["undefined"]}}}')
    expect(body).toContain('"reason":"invalid_input"')
    expect(body).toContain('leads through __proto__')
    expect('x' in {}).toBe(false)
  })
})

describe('a forged token', () => {
  const members = (count: number, member: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => member(index)).join(',')
  const COUNT = 20_000

  it.each([
    [
      'one object that is a Set’s last member 20,000 times',
      `{"json":{"s":[${members(COUNT, String)}],"o":{}},"meta":{"values":{"s":["set"]},"referentialEqualities":{"o":[${members(COUNT, () => `"s.${COUNT - 1}"`)}]},"v":1}}`,
    ],
    [
      'one object that is a Map’s last member 20,000 times',
      `{"json":{"s":[${members(COUNT, index => `[${index},0]`)}],"o":{}},"meta":{"values":{"s":["map"]},"referentialEqualities":{"o":[${members(COUNT, () => `"s.${COUNT - 1}.1"`)}]},"v":1}}`,
    ],
    [
      '40,000 Dates',
      `{"json":[${members(2 * COUNT, () => '"1970"')}],"meta":{"values":{${members(2 * COUNT, index => `"${index}":["Date"]`)}}}}`,
    ],
    ['a BigInt of 900,000 digits', `{"json":"${'9'.repeat(900_000)}","meta":{"values":["bigint"]}}`],
    [
      'an array that would be made four billion long',
      '{"json":{"connectorIds":[]},"meta":{"values":{"connectorIds.4294967294":["undefined"]}}}',
    ],
    ['a path of 450,000 names', `{"json":1,"meta":{"values":{"${'a.'.repeat(450_000)}a":["Date"]}}}`],
  ])('cannot keep the process busy with %s', async (_what, body) => {
    const before = process.cpuUsage()
    const { status, body: answer } = await post(port, '/trpc/tasks.create', body, forged)
    const { user, system } = process.cpuUsage(before)
    expect(status).toBe(400)
    expect(JSON.parse(answer).error.json.data.reason).toBe('invalid_input')
    // Some 20 ms; superjson takes more than two seconds for each of the first two.
    expect((user + system) / 1_000).toBeLessThan(1_500)
  })
})

it('Dates, undefined and one object in two places arrive', async () => {
  const session = { authorization: ada.authorization }
  const day = new Date(Date.now() + 86_400_000)
  const token = { name: 'x', scopes: ['tasks:read'], expiresAt: day, organizationId: undefined }
  const created = await post(port, '/trpc/apiTokens.create', superjson.stringify(token), session)
  expect(created.status).toBe(200)
  const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
  const entry = { type: 'info', message: 'again' }
  const input = superjson.serialize({ taskId, entries: [entry, entry] })
  expect(input.meta?.referentialEqualities).toEqual({ 'entries.0': ['entries.1'] })
  expect((await post(port, '/trpc/tasks.logs.append', input, session)).status).toBe(200)
  const { items } = await ada.caller().tasks.logs.list({ taskId })
  expect(items.map(({ message }) => message)).toEqual(['again', 'again'])
})
