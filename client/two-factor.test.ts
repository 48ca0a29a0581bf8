import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { totpCode, totpStep } from '#server/auth/totp.ts'
import {
  createClient,
  isRowhouseError,
  SecondFactorNeededError,
  signIn,
  signUp,
  verifySecondFactor,
} from './index.ts'
import { PASSWORD, type ServerFixture, startServer } from './server-fixture.ts'

let server: ServerFixture
let owner: pg.Pool

beforeAll(async () => {
  server = await startServer()
  owner = new pg.Pool({ connectionString: server.database.ownerUrl, max: 2 })
  owner.on('error', () => {})
})

afterAll(async () => {
  await owner.end()
  await server.close()
})

async function post(path: string, token: string, body: object) {
  const response = await fetch(`${server.url}/api/auth${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { response, body: (await response.json()) as Record<string, unknown> }
}

async function enrol(email: string) {
  const { token, user } = await signUp({ url: server.url, email, password: PASSWORD, name: 'Ada' })
  const begun = await post('/two-factor/enable', token, { password: PASSWORD })
  const secret = base32(new URL(String(begun.body.totpURI)).searchParams.get('secret') ?? '')
  const code = () => totpCode(secret, totpStep(Date.now()))
  const done = await post('/two-factor/verify-totp', token, { code: code() })
  await owner.query('update auth.two_factors set last_used_step = 0 where user_id = $1', [user.id])
  return {
    userId: user.id,
    before: token,
    token: done.response.headers.get('set-auth-token') ?? '',
    backupCodes: begun.body.backupCodes as string[],
    code,
  }
}

function base32(text: string): string {
  const bits = [...text].map(letter =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
  )
  const bytes = bits.join('').match(/.{8}/g) ?? []
  return Buffer.from(bytes.map(byte => Number.parseInt(byte, 2))).toString('utf8')
}

async function challengeOf(email: string): Promise<string> {
  const error = await signIn({ url: server.url, email, password: PASSWORD }).catch(
    (reason: unknown) => reason,
  )
  if (!(error instanceof SecondFactorNeededError)) throw error
  return error.challenge
}

function me(token: string) {
  return createClient({ url: server.url, token }).account.me.query()
}

async function reasonOf(call: Promise<unknown>) {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  )
  return isRowhouseError(error) ? error.reason : error
}

test('a user enrols, signs in with a password and a code, and calls procedures', async () => {
  const email = 'ada@example.com'
  const enrolled = await enrol(email)
  expect(await reasonOf(me(enrolled.before))).toBe('unauthenticated')
  expect((await me(enrolled.token)).user.email).toBe(email)
  const challenge = await challengeOf(email)
  expect(await reasonOf(me(challenge))).toBe('unauthenticated')
  const { token, user } = await verifySecondFactor({ url: server.url, challenge, code: enrolled.code() })
  expect(user.email).toBe(email)
  expect((await me(token)).user.id).toBe(enrolled.userId)
})

test('a used code is refused, and a backup code is valid once', async () => {
  const email = 'grace@example.com'
  const { code, backupCodes } = await enrol(email)
  const { url } = server
  const used = code()
  await verifySecondFactor({ url, challenge: await challengeOf(email), code: used })
  const again = verifySecondFactor({ url, challenge: await challengeOf(email), code: used })
  expect(await reasonOf(again)).toBe('unauthenticated')
  const [backup = ''] = backupCodes
  const { token } = await verifySecondFactor({ url, challenge: await challengeOf(email), code: backup })
  expect((await me(token)).user.email).toBe(email)
  const spent = verifySecondFactor({ url, challenge: await challengeOf(email), code: backup })
  expect(await reasonOf(spent)).toBe('unauthenticated')
})

test('an organization that requires the factor lets a member act in it once they have one', async () => {
  const boss = await enrol('boss@example.com')
  const { token, user } = await signUp({
    url: server.url,
    email: 'member@example.com',
    password: PASSWORD,
    name: 'Bob',
  })
  const bossClient = createClient({ url: server.url, token: boss.token })
  const { id: organizationId } = await bossClient.organizations.create.mutate({ name: 'Acme', slug: 'acme' })
  await owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
    organizationId,
    user.id,
  ])
  const member = createClient({ url: server.url, token })
  const acting = createClient({ url: server.url, token, organizationId })
  await acting.tasks.list.query({})
  await bossClient.organizations.update.mutate({ organizationId, requireTwoFactor: true })

  expect(await reasonOf(acting.tasks.list.query({}))).toBe('two_factor_required')
  expect(await reasonOf(acting.account.me.query())).toBe('two_factor_required')
  expect(await reasonOf(member.organizations.members.list.query({ organizationId }))).toBe(
    'two_factor_required',
  )
  expect((await member.tasks.list.query({})).items).toEqual([])
  expect(await member.organizations.list.query()).toMatchObject([
    { id: organizationId, requireTwoFactor: true },
  ])
  expect(
    (
      await post('/organization/invite-member', token, {
        organizationId,
        email: 'x@example.com',
        role: 'member',
      })
    ).response.status,
  ).toBe(412)

  await post('/organization/set-active', boss.token, { organizationId })
  await owner.query('update auth.sessions set active_organization_id = $1 where user_id = $2', [
    organizationId,
    user.id,
  ])
  expect(await reasonOf(member.tasks.list.query({}))).toBe('two_factor_required')
  expect((await member.account.me.query()).organization).toBeNull()
  await member.organizations.setActive.mutate({ organizationId: null })
  expect((await member.tasks.list.query({})).items).toEqual([])

  const begun = await post('/two-factor/enable', token, { password: PASSWORD })
  const secret = base32(new URL(String(begun.body.totpURI)).searchParams.get('secret') ?? '')
  const done = await post('/two-factor/verify-totp', token, { code: totpCode(secret, totpStep(Date.now())) })
  const enrolled = createClient({
    url: server.url,
    token: done.response.headers.get('set-auth-token') ?? '',
    organizationId,
  })
  expect((await enrolled.account.me.query()).organization).toEqual({ id: organizationId, role: 'member' })
  expect(await enrolled.organizations.members.list.query({ organizationId })).toHaveLength(2)
})
