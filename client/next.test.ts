import { TRPCError } from '@trpc/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AppError } from '#server/errors.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { createCaller } from './next.ts'

let house: House
let ada: Actor
let grace: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  grace = await createActor(house, { name: 'Grace' })
})
afterAll(() => house.close())

const COOKIE = 'better-auth.session_token'

function requestOf(actor: Actor, init: RequestInit = {}): Request {
  return new Request('http://localhost:3000/somewhere', {
    ...init,
    headers: { cookie: `theme=dark; ${COOKIE}=${encodeURIComponent(actor.token)}` },
  })
}

test('a route handler calls as whoever sent its request', async () => {
  const { services } = house
  const task = await createCaller(requestOf(ada), { services }).tasks.create({ prompt: 'Mend the roof' })
  expect((await createCaller(requestOf(ada), { services }).tasks.list()).items).toEqual([task])
  expect((await createCaller(requestOf(grace), { services }).tasks.list()).items).toEqual([])
})

test("a server component calls with the visitor's headers", async () => {
  const { services } = house
  const token = await createApiToken(ada, { scopes: ['tasks:read'] })
  const organization = await createOrganization(ada)
  const headers = new Headers({
    authorization: token.authorization,
    'x-organization-id': organization.id,
  })
  const { user, credential } = await createCaller(headers, { services }).account.me()
  expect({ id: user.id, credential }).toEqual({ id: ada.userId, credential: 'token' })
  const session = new Headers({ authorization: ada.authorization, 'x-organization-id': organization.id })
  const me = await createCaller(session, { services }).account.me()
  expect(me.organization).toEqual({ id: organization.id, role: 'owner' })
})

test('a visitor without a credential is refused with the reason', async () => {
  const { services } = house
  const error = await createCaller(new Headers(), { services })
    .tasks.list()
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TRPCError)
  expect(error).toMatchObject({ code: 'UNAUTHORIZED', cause: { reason: 'unauthenticated' } })
  expect((error as TRPCError).cause).toBeInstanceOf(AppError)
})

test('a request that was aborted asks the database nothing', async () => {
  const abort = new AbortController()
  const request = requestOf(ada, { signal: abort.signal })
  abort.abort()
  const call = createCaller(request, { services: house.services }).tasks.list()
  await expect(call).rejects.toMatchObject({ code: 'CLIENT_CLOSED_REQUEST' })
})

test('a call that prolongs the session gives the cookie again', async () => {
  const { services } = house
  const cookies: string[] = []
  const call = () =>
    createCaller(requestOf(grace), { services, onSetCookie: value => cookies.push(value) }).account.me()
  await call()
  expect(cookies).toEqual([])
  await house.owner.query(
    `update auth.sessions set expires_at = now() + interval '3 days', updated_at = now() - interval '4 days' where id = $1`,
    [grace.sessionId],
  )
  await call()
  expect(cookies).toEqual([expect.stringMatching(/^better-auth\.session_token=.+Max-Age=604800/)])
  await expect
    .poll(async () => {
      const { rows } = await house.owner.query(
        `select expires_at > now() + interval '6 days' as is_prolonged from auth.sessions where id = $1`,
        [grace.sessionId],
      )
      return rows[0].is_prolonged
    })
    .toBe(true)
})
