import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Actor } from '#server/testing/actors.ts'
import { browserOf, type ConnectedHouse, createAda, FRIENDLY_ORIGIN, openConnectedHouse } from './fixture.ts'

// Where a flow may redirect at its end.

let connected: ConnectedHouse
let ada: Actor

beforeAll(async () => {
  connected = await openConnectedHouse()
})

beforeEach(async () => {
  ada = await createAda(connected)
})

afterAll(() => connected.close())

describe('a flow ends', () => {
  test.for([
    [undefined, 'http://localhost:3000/'],
    ['/a/b?c=d#e', 'http://localhost:3000/a/b?c=d#e'],
    ['settings', 'http://localhost:3000/settings'],
    ['http://localhost:3000/x', 'http://localhost:3000/x'],
    ['/%2f%2fevil.example', 'http://localhost:3000/%2f%2fevil.example'],
    ['/.//evil.example', 'http://localhost:3000//evil.example'],
    ['http://\u24dbocalhost:3000/x', 'http://localhost:3000/x'],
    ['/x?connected=linear&error=expired_state', 'http://localhost:3000/x'],
    [`${FRIENDLY_ORIGIN}/x`, `${FRIENDLY_ORIGIN}/x`],
  ] as const)('at %s', async ([returnTo, address]) => {
    const url = await connected.consent(ada, 'notion', returnTo)
    const { location } = await connected.open(url, ada)
    const expected = new URL(address)
    expected.searchParams.set('connected', 'notion')
    expect(location?.href).toBe(expected.href)
  })

  test.for([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    'https:evil.example',
    '///evil.example/',
    'http:\\\\evil.example',
    ' //evil.example',
    '//\u24d4vil.example/',
    '//evil\u3002example/',
    '//evil.example\u2044@localhost:3000/',
    'blob:http://localhost:3000/x',
    'filesystem:http://localhost:3000/x',
    'view-source:http://localhost:3000/',
    'http://localhost:3001/',
    'http://localhost:30001/',
    'https://localhost:3000/',
    'http://localhost:3000@evil.example/',
    'http://ada:secret@localhost:3000/',
    'http://localhost:3000.evil.example/',
    `${FRIENDLY_ORIGIN}.evil.example/`,
    'javascript:alert(1)',
    'data:text/html,hello',
    'http://',
    '',
    '\u0000',
  ])('never at %j', async returnTo => {
    await expect(
      browserOf(ada).connections.authorize({ provider: 'notion', returnTo }),
    ).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    })
    const { rows } = await connected.house.owner.query('select from app.oauth_states where user_id = $1', [
      ada.userId,
    ])
    expect(rows).toEqual([])
  })
})
