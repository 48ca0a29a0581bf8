import { createSign, generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { followOnce } from './browser.ts'
import { type FakeGithub, openFakeGithub } from './github.ts'
import { challengeOf } from './grants.ts'
import { type FakeLinear, openFakeLinear } from './linear.ts'
import { type FakeNotion, openFakeNotion } from './notion.ts'
import { type FakeSlack, openFakeSlack } from './slack.ts'

const CALLBACK = 'http://localhost:3000/callback'
const VERIFIER = 'a verifier of at least forty-three characters, spaces included'

let github: FakeGithub
let linear: FakeLinear
let notion: FakeNotion
let slack: FakeSlack

beforeAll(async () => {
  const options = { callbackUrls: [CALLBACK] }
  github = await openFakeGithub(options)
  linear = await openFakeLinear(options)
  notion = await openFakeNotion(options)
  slack = await openFakeSlack(options)
  linear.addOrganization({ name: 'Acme' })
  notion.addWorkspace({ name: 'Acme' })
  slack.addTeam({ name: 'Acme' })
})

afterAll(() => Promise.all([github, linear, notion, slack].map(fake => fake.close())))

async function linearCode(): Promise<string> {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: linear.clientId,
    redirect_uri: CALLBACK,
    scope: 'read',
    code_challenge: challengeOf(VERIFIER),
    code_challenge_method: 'S256',
  })
  return (await followOnce(`${linear.url}/oauth/authorize?${query}`)).searchParams.get('code') ?? ''
}

async function linearToken(fields: Record<string, string>) {
  const body = new URLSearchParams({
    client_id: linear.clientId,
    client_secret: linear.clientSecret,
    grant_type: 'authorization_code',
    redirect_uri: CALLBACK,
    code_verifier: VERIFIER,
    ...fields,
  })
  const response = await fetch(`${linear.url}/oauth/token`, { method: 'POST', body })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

test('a code is refused with another verifier, redirect, secret, or a second time', async () => {
  const refused = { status: 400, body: { error: 'invalid_grant' } }
  expect(await linearToken({ code: await linearCode(), code_verifier: 'another' })).toMatchObject(refused)
  expect(await linearToken({ code: await linearCode(), redirect_uri: 'http://evil.example' })).toMatchObject(
    refused,
  )
  const wrongSecret = { code: await linearCode(), client_secret: 'wrong' }
  expect(await linearToken(wrongSecret)).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
  const code = await linearCode()
  expect(await linearToken({ code })).toMatchObject({ status: 200 })
  expect(await linearToken({ code })).toMatchObject(refused)
})

test('a refresh token dies when it is used', async () => {
  const { body } = await linearToken({ code: await linearCode() })
  const refresh = { grant_type: 'refresh_token', refresh_token: body.refresh_token ?? '' }
  expect(await linearToken(refresh)).toMatchObject({ status: 200 })
  expect(await linearToken(refresh)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
})

test('a GraphQL query is answered with what it selects, and refused with what no schema has', async () => {
  const { body: tokens } = await linearToken({ code: await linearCode() })
  const ask = async (query: string, variables?: object) => {
    const response = await fetch(`${linear.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    })
    return { status: response.status, body: (await response.json()) as unknown }
  }
  const query = `query Q($n: Int!) { list: teams(first: $n) { nodes { ...T } pageInfo { hasNextPage } } }
    fragment T on Team { key }`
  expect(await ask(query, { n: 1 })).toEqual({
    status: 200,
    body: { data: { list: { nodes: [{ key: 'T0' }], pageInfo: { hasNextPage: true } } } },
  })
  for (const wrong of [
    '{ nothing }',
    '{ viewer { nothing } }',
    '{ viewer',
    '{ viewer }',
    'mutation { x }',
    '{ ...T }',
  ]) {
    expect(await ask(wrong)).toMatchObject({ status: 400, body: { data: null } })
  }
})

test('Notion wants its client in the header and its request in JSON', async () => {
  const query = new URLSearchParams({
    response_type: 'code',
    owner: 'user',
    client_id: notion.clientId,
    redirect_uri: CALLBACK,
  })
  const code = (await followOnce(`${notion.url}/v1/oauth/authorize?${query}`)).searchParams.get('code')
  const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK }
  const client = { client_id: notion.clientId, client_secret: notion.clientSecret }
  const send = (headers: Record<string, string>, body: unknown) =>
    fetch(`${notion.url}/v1/oauth/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  expect((await send({}, { ...fields, ...client })).status).toBe(401)
  const basic = Buffer.from(`${notion.clientId}:${notion.clientSecret}`).toString('base64')
  expect((await send({ authorization: `Basic ${basic}` }, fields)).status).toBe(200)
})

test('Slack refuses what it refuses with status 200', async () => {
  const response = await fetch(`${slack.url}/api/conversations.list`, { method: 'POST' })
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({ ok: false, error: 'not_authed' })
})

test('GitHub mints installation tokens for its own app and key only, and for no longer than ten minutes', async () => {
  const installation = github.install({ login: 'acme' })
  const { privateKey: foreignKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const now = Math.floor(Date.now() / 1_000)
  const mint = async (claims: object, key: Parameters<ReturnType<typeof createSign>['sign']>[0]) => {
    const [header, payload] = [{ alg: 'RS256', typ: 'JWT' }, claims].map(part =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    )
    const signature = createSign('sha256').update(`${header}.${payload}`).sign(key, 'base64url')
    const response = await fetch(`${github.url}/app/installations/${installation.id}/access_tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${header}.${payload}.${signature}`, 'user-agent': 'test' },
    })
    return response.status
  }
  const claims = { iss: github.app.id, iat: now - 30, exp: now + 540 }
  expect(await mint(claims, github.app.privateKey)).toBe(201)
  expect(await mint(claims, foreignKey)).toBe(401)
  expect(await mint({ ...claims, iss: '1' }, github.app.privateKey)).toBe(401)
  expect(await mint({ ...claims, exp: now + 3_600 }, github.app.privateKey)).toBe(401)
  expect(await mint({ ...claims, exp: now - 1 }, github.app.privateKey)).toBe(401)
})

test('GitHub holds an authorization with a challenge to its verifier', async () => {
  const query = new URLSearchParams({
    client_id: github.app.clientId,
    redirect_uri: CALLBACK,
    code_challenge: challengeOf(VERIFIER),
    code_challenge_method: 'S256',
  })
  const exchangeCode = async (verifier: string) => {
    const back = await followOnce(`${github.url}/login/oauth/authorize?${query}`)
    const response = await fetch(`${github.url}/login/oauth/access_token`, {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: new URLSearchParams({
        client_id: github.app.clientId,
        client_secret: github.app.clientSecret,
        code: back.searchParams.get('code') ?? '',
        code_verifier: verifier,
      }),
    })
    return (await response.json()) as object
  }
  expect(await exchangeCode('another')).toMatchObject({ error: 'bad_verification_code' })
  expect(await exchangeCode(VERIFIER)).toMatchObject({ access_token: expect.stringMatching(/^ghu_/) })
})
