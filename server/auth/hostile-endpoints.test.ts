// Names, pictures and slugs follow the rooms' rules on every way to write them, and no input of any type,
// size or shape makes an endpoint fail.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BODIES } from './endpoint-inputs.ts'
import { ENDPOINTS } from './endpoints.ts'
import { type AuthFixture, createAuthFixture, type SignedUp } from './fixture.ts'

let fixture: AuthFixture
let user: SignedUp
let organizationId: string
let memberId: string

beforeAll(async () => {
  fixture = await createAuthFixture()
  user = await fixture.signUp('ada@example.com')
  const body = { name: 'Looms', slug: 'looms' }
  const created = await fixture.call('POST', '/organization/create', { token: user.token, body })
  organizationId = created.body.id
  memberId = created.body.members[0].id
})

afterAll(() => fixture.close())

describe('no endpoint fails', () => {
  const VALUES: unknown[] = [
    null,
    0,
    -1,
    1e308,
    true,
    '',
    'x',
    'x'.repeat(8_192),
    [],
    ['x'],
    [[['x']]],
    {},
    { a: { b: [1] } },
    '%00',
    '\u202e',
    '2026-01-01',
    '00000000-0000-0000-0000-000000000000',
    "' or 1=1 --",
    '//evil.example.com',
    'javascript:alert(1)',
    'ada@example.xn--p1ai',
  ]
  const QUERY = [
    'organizationId',
    'organizationSlug',
    'membersLimit',
    'limit',
    'offset',
    'sortBy',
    'sortDirection',
    'filterField',
    'filterValue',
    'filterOperator',
    'userId',
    'id',
    'token',
    'callbackURL',
    'code',
    'state',
    'error',
    'error_description',
    'iss',
    'user',
    'email',
    'disableCookieCache',
    'disableRefresh',
  ]
  const whole = () => ({
    email: 'nobody@example.com',
    password: 'x',
    newPassword: 'x',
    currentPassword: 'x',
    name: 'Ada',
    provider: 'github',
    code: '123456',
    organizationId,
    role: 'member',
    slug: 'mills',
    memberId,
    memberIdOrEmail: 'nobody@example.com',
    data: { name: 'Looms' },
    invitationId: '00000000-0000-7000-8000-000000000000',
    accountId: 'x',
    permissions: { organization: ['update'] },
    token: 'x',
  })

  async function fails(method: 'GET' | 'POST', path: string, body?: unknown): Promise<string[]> {
    const call = { auth: social, token: user.token, ...(body === undefined ? {} : { body }) }
    const { status, text } = await fixture.call(method, path, call)
    return status < 500
      ? []
      : [
          `${method} ${path.slice(0, 120)} ${JSON.stringify(body)?.slice(0, 200)}: ${status} ${text.slice(0, 100)}`,
        ]
  }

  let social: AuthFixture['auth']
  beforeAll(() => {
    const client = { clientId: 'id', clientSecret: 'secret' }
    social = fixture.another({ config: { socialProviders: { github: client, google: client } } })
  })

  async function filters(): Promise<string[]> {
    const failures: string[] = []
    for (const operator of ['eq', 'ne', 'lt', 'gte', 'in', 'not_in', 'contains', 'starts_with'])
      for (const field of ['id', 'userId', 'role', 'createdAt', 'organizationId', 'x"']) {
        const query = `filterField=${field}&filterOperator=${operator}&filterValue=x`
        failures.push(...(await fails('GET', `/organization/list-members?${query}`)))
      }
    return failures
  }

  const concrete = (path: string) => path.replace(':provider', 'github').replace(':token', 'x')
  const posts = ENDPOINTS.filter(({ method, path }) => method === 'POST' && path !== '/sign-out')

  it.each(posts.map(({ path }) => path))('POST %s', { timeout: 120_000 }, async path => {
    const failures: string[] = []
    const fields = Object.keys((BODIES[path as keyof typeof BODIES] as { shape?: object }).shape ?? {})
    for (const body of ['null', '1', '"x"', '[]', '[1]', '{}', 'true', '{"data":[]}', '{"data":{"name":{}}}'])
      failures.push(...(await fails('POST', path, body)))
    for (const field of fields)
      for (const value of VALUES)
        failures.push(...(await fails('POST', path, { ...whole(), [field]: value })))
    expect(failures).toEqual([])
  })

  it.each(ENDPOINTS.filter(({ method }) => method === 'GET').map(({ path }) => path))(
    'GET %s',
    { timeout: 120_000 },
    async path => {
      const failures: string[] = []
      const base = new URLSearchParams({
        organizationId,
        callbackURL: '/',
        filterField: 'userId',
        filterValue: 'x',
        sortBy: 'role',
      })
      for (const field of QUERY) {
        for (const value of ['', '-1', "x'\u202e", '[object Object]']) {
          const query = new URLSearchParams(base)
          query.set(field, value)
          failures.push(...(await fails('GET', `${concrete(path)}?${query}`)))
        }
        failures.push(...(await fails('GET', `${concrete(path)}?${base}&${field}=a&${field}=b`)))
      }
      if (path === '/organization/list-members') failures.push(...(await filters()))
      expect(failures).toEqual([])
    },
  )
})
