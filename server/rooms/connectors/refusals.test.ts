import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { type CreateConnector, createConnector, type UpdateConnector } from './schema.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

const REMOTE = { kind: 'remote', name: 'Wiki', url: 'https://mcp.example.com/mcp' } as const

describe('a connector is rejected', () => {
  const local = { kind: 'local', name: 'x', command: 'x' }
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`A${index}`, 'x']))

  it.each([
    ['without a kind', { name: 'x', url: REMOTE.url }],
    ['of another kind', { ...REMOTE, kind: 'else' }],
    ['with neither command nor address', { kind: 'remote', name: 'x' }],
    ['with both', { ...REMOTE, command: 'x' }],
    ['that is a command with a URL', { ...local, url: REMOTE.url }],
    ['without a name', { ...REMOTE, name: ' ' }],
    ['with a file’s address', { ...REMOTE, url: 'file:///etc/passwd' }],
    ['with no address at all', { ...REMOTE, url: 'mcp.example.com' }],
    ['with a password in its address', { ...REMOTE, url: 'https://user:secret@mcp.example.com/' }],
    ['with a user name in its address', { ...REMOTE, url: 'https://user@mcp.example.com/' }],
    ['with NUL in an argument', { ...local, args: ['x\0'] }],
    ['with too many arguments', { ...local, args: Array.from({ length: 101 }, () => 'x') }],
    ['with a variable that has no name', { ...local, env: { '': 'x' } }],
    ['with a variable with "="', { ...local, env: { 'A=B': 'x' } }],
    ['with a variable that reads __proto__', { ...local, env: JSON.parse('{"__proto__": "x"}') }],
    ['with a variable that reads constructor', { ...local, env: { constructor: 'x' } }],
    ['with a variable that is a number', { ...local, env: { A: 1 } }],
    ['with too many variables', { ...local, env: many }],
    [
      'with too much in its variables',
      {
        ...local,
        env: { A: 'x'.repeat(16_384), B: 'x'.repeat(16_384), C: 'x'.repeat(16_384), D: 'x'.repeat(16_384) },
      },
    ],
    ['with a header that breaks its line', { ...REMOTE, headers: { a: 'x\r\ny: z' } }],
    ['with a header’s name that breaks its line', { ...REMOTE, headers: { 'a\r\nb': 'x' } }],
    ['with a header twice', { ...REMOTE, headers: { 'X-A': 'x', 'x-a': 'y' } }],
    ['with a host header', { ...REMOTE, headers: { Host: 'internal' } }],
    ['with a length of its own', { ...REMOTE, headers: { 'content-length': '0' } }],
    ['with an owner', { ...REMOTE, userId: 'x' }],
  ])('%s', async (_, input) => {
    const { code } = await refusalOf(ada.caller().connectors.create(input as CreateConnector))
    expect(code).toBe('BAD_REQUEST')
    expect(await ada.caller().connectors.list()).toEqual([])
  })

  it('with a thousand variables, with one issue for their number', () => {
    const env = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`not-${index}`, 1]))
    const { error } = createConnector.safeParse({ ...local, env })
    expect(error?.issues.map(({ message }) => message)).toEqual(['must have at most 50 names'])
  })

  it.each([
    ['that changes into a command', { command: 'sh' }],
    ['that gets arguments', { args: ['x'] }],
    ['with a password in its new address', { url: 'https://a:b@mcp.example.com/' }],
    ['of another kind', { kind: 'local' }],
  ])('%s', async (_, change) => {
    const created = await ada.caller().connectors.create(REMOTE)
    const { code } = await refusalOf(
      ada.caller().connectors.update({ id: created.id, ...change } as UpdateConnector),
    )
    expect(code).toBe('BAD_REQUEST')
    expect(await ada.caller().connectors.get({ id: created.id })).toEqual(created)
  })

  it('of both kinds by the database, too', async () => {
    for (const [columns, values] of [
      ['kind, command', `'remote', 'sh'`],
      ['kind, url', `'local', 'https://x.example'`],
      ['kind', `'local'`],
      ['kind', `'remote'`],
      ['kind, command, url', `'local', 'sh', 'https://x.example'`],
    ]) {
      await expect(
        house.owner.query(
          `insert into app.connectors (user_id, name, ${columns}) values ($1, 'x', ${values})`,
          [ada.userId],
        ),
      ).rejects.toMatchObject({ constraint: 'connectors_target_check' })
    }
  })
})
