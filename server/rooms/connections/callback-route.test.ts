import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Actor } from '#server/testing/actors.ts'
import { type ConnectedHouse, cookieOf, createAda, openConnectedHouse } from './fixture.ts'

// What the callback accepts, and its answers other than the redirect.

let connected: ConnectedHouse
let ada: Actor

beforeAll(async () => {
  connected = await openConnectedHouse()
  ada = await createAda(connected)
})
afterAll(() => connected.close())

function callBack({ pathname, search }: URL, init: RequestInit): Promise<Response> {
  return fetch(`${connected.origin}${pathname}${search}`, { redirect: 'manual', ...init })
}

test('a session in a header cannot finish a flow that it started', async () => {
  const url = await connected.consent(ada, 'notion')
  const fromHeader = await callBack(url, { headers: { authorization: ada.authorization } })
  expect([fromHeader.status, fromHeader.headers.get('location')]).toEqual([400, null])
  expect(await ada.caller().connections.list()).toEqual([])
  const fromCookie = await callBack(url, { headers: { cookie: cookieOf(ada) } })
  expect(fromCookie.headers.get('location')).toBe('http://localhost:3000/?connected=notion')
})

test('a header is ignored if there is a cookie', async () => {
  const url = await connected.consent(ada, 'slack')
  const stranger = await createAda(connected)
  const headers = { cookie: cookieOf(ada), authorization: stranger.authorization }
  const { headers: answered } = await callBack(url, { headers })
  expect(answered.get('location')).toBe('http://localhost:3000/?connected=slack')
})

test('the code and the state in the URL reach neither another site nor a cache', async () => {
  const headers = { cookie: cookieOf(ada) }
  const url = await connected.consent(ada, 'linear')
  const [ended, refused] = [await callBack(url, { headers }), await callBack(url, { headers })]
  expect([ended.status, refused.status]).toEqual([303, 400])
  for (const { headers: answered } of [ended, refused]) {
    expect(answered.get('referrer-policy')).toBe('no-referrer')
    expect(answered.get('cache-control')).toBe('no-store')
  }
  expect(refused.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
  expect(refused.headers.get('x-content-type-options')).toBe('nosniff')
})

test('a HEAD request does not use up a state', async () => {
  const headers = { cookie: cookieOf(ada) }
  const url = await connected.consent(ada, 'linear')
  expect((await callBack(url, { method: 'HEAD', headers })).status).toBe(405)
  const { headers: answered } = await callBack(url, { headers })
  expect(answered.get('location')).toBe('http://localhost:3000/?connected=linear')
})
