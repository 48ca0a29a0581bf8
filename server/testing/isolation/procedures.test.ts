import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContextInput } from '../../context.ts'
import { SCOPES, type Scope } from '../../scopes.ts'
import { type Actor, createActor, createApiToken, type House, openHouse } from '../actors.ts'
import { type Answer, callProcedure, outcomeOf, procedures, withMissingIds } from './call.ts'
import { createHousehold, type Household, idsOf, marksOf } from './dataset.ts'
import { CASES, type Case, type ProcedurePath } from './procedure-cases.ts'
import { readTables, rowsMentioning, snapshotTables, type Table } from './tables.ts'

// Every procedure of the router, called with the owner's ids by everyone who must not get anywhere with them.

type Headers = ContextInput['headers']

let house: House
let tables: Table[]
let owner: Household
let invalid: Headers[]

beforeAll(async () => {
  house = await openHouse()
  tables = await readTables(house.owner)
  owner = await createHousehold(house, 'Owner')
  invalid = await invalidCredentials()
})

afterAll(async () => {
  await house.close()
})

const paths = procedures.map(({ path }) => path)

function casesOf(path: string): readonly Case[] {
  return CASES[path as ProcedurePath]
}

function permissionOf(path: string) {
  return procedures.find(procedure => procedure.path === path)?.permission ?? 'any'
}

function call(path: string, input: unknown, headers: Headers): Promise<Answer> {
  return callProcedure(house.services, { path, input, headers })
}

function bearer({ authorization }: { authorization: string }): Headers {
  return { authorization }
}

function snapshot(): Promise<Record<string, string[]>> {
  return snapshotTables(house.owner, tables)
}

/** The owner's rows, and not those in which the caller is mentioned as a member of the owner's organization. */
async function ownersRows(caller: string): Promise<Record<string, string[]>> {
  const rows = rowsMentioning(await snapshot(), marksOf(owner))
  return Object.fromEntries(
    Object.entries(rows).map(([name, all]) => [name, all.filter(row => !row.includes(caller))]),
  )
}

/** Calls every case and expects one outcome and not a single row to change. */
async function expectRefused(path: string, presented: Headers | Headers[], outcome: string): Promise<void> {
  const before = await snapshot()
  for (const { input } of casesOf(path)) {
    for (const headers of [presented].flat()) {
      const answer = await call(path, input(owner), headers)
      expect(outcomeOf(answer)).toBe(outcome)
      expect(answer).toEqual(await call(path, withMissingIds(input(owner), idsOf(owner)), headers))
    }
  }
  expect(await snapshot()).toEqual(before)
}

/**
 * Calls every case as someone else may: refused like a missing row, or answered about themselves alone, and about the
 * organization that they act in.
 */
async function expectStrangersAnswer(
  path: string,
  caller: Pick<Actor, 'userId'>,
  headers: Headers,
): Promise<void> {
  const hidden = marksOf(owner).filter(mark => mark !== headers['x-organization-id'])
  for (const { input, stranger } of casesOf(path)) {
    const before = stranger === 'own' ? await ownersRows(caller.userId) : await snapshot()
    const answer = await call(path, input(owner), headers)
    if (stranger === 'own') {
      expect(outcomeOf(answer)).toBe('OK')
      for (const mark of hidden) expect(answer.body).not.toContain(mark)
      expect(await ownersRows(caller.userId)).toEqual(before)
    } else {
      expect(outcomeOf(answer)).toBe(stranger)
      expect(answer).toEqual(await call(path, withMissingIds(input(owner), idsOf(owner)), headers))
      expect(await snapshot()).toEqual(before)
    }
  }
}

test('every procedure has a case', () => {
  expect(paths.filter(path => !(path in CASES))).toEqual([])
  expect(Object.keys(CASES).filter(path => !paths.includes(path))).toEqual([])
  for (const path of paths) expect(casesOf(path).length).toBeGreaterThan(0)
})

describe('a stranger with the owner’s ids gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const stranger = await createActor(house, { name: 'Stranger' })
    await expectStrangersAnswer(path, stranger, bearer(stranger))
  })
})

describe('a program of a stranger’s with every scope gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const stranger = await createActor(house, { name: 'Stranger' })
    const token = await createApiToken(stranger, { scopes: SCOPES })
    if (permissionOf(path) === 'session') await expectRefused(path, bearer(token), 'FORBIDDEN missing_scope')
    else await expectStrangersAnswer(path, stranger, bearer(token))
  })
})

describe('a fellow member of the owner’s organization gets nowhere with', () => {
  // What they share is the organization: they may bind tokens and tasks of their own to it.
  const shared = ['apiTokens.create', 'tasks.create']

  test.for(paths.filter(path => !shared.includes(path)))('%s', async path => {
    const member = await createMember()
    await expectStrangersAnswer(path, member, {
      ...bearer(member),
      'x-organization-id': owner.organizationId,
    })
    await leave(member)
  })
})

describe('an ex-member gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const member = await createMember()
    await house.owner.query('update auth.sessions set active_organization_id = $1 where user_id = $2', [
      owner.organizationId,
      member.userId,
    ])
    const headers = { ...bearer(member), 'x-organization-id': owner.organizationId }
    expect(outcomeOf(await call('account.me', undefined, headers))).toBe('OK')
    await leave(member)
    await expectRefused(path, headers, 'FORBIDDEN not_a_member')
    await expectStrangersAnswer(path, member, bearer(member))
  })
})

describe('a token that was bound to an organization its owner has left is nobody’s:', () => {
  test.for(paths)('%s', async path => {
    const member = await createMember()
    const token = await createApiToken(member, { scopes: SCOPES, organizationId: owner.organizationId })
    expect(outcomeOf(await call('account.me', undefined, bearer(token)))).toBe('OK')
    await leave(member)
    await expectRefused(path, bearer(token), 'UNAUTHORIZED unauthenticated')
  })
})

describe('without a valid credential nobody gets anywhere with', () => {
  test.for(paths)('%s', async path => {
    await expectRefused(path, invalid, 'UNAUTHORIZED unauthenticated')
  })
})

describe('the owner’s token without the scope gets nowhere with', () => {
  const scoped = procedures.flatMap(({ path, permission }) =>
    permission === 'any' ? [] : [{ path, permission }],
  )

  test.for(scoped)('$path', async ({ path, permission }) => {
    const lacking = SCOPES.filter(scope => scope !== permission && scope !== asWrite(permission))
    await expectRefused(
      path,
      bearer(await createApiToken(owner, { scopes: lacking })),
      'FORBIDDEN missing_scope',
    )
    await expectRefused(path, bearer(await createApiToken(owner, { scopes: [] })), 'FORBIDDEN missing_scope')
  })
})

test('a token that lists what is no scope is none the stronger', async () => {
  const token = await createApiToken(owner, { scopes: [] })
  await house.owner.query(`update app.api_tokens set scopes = '{session,any,*}' where id = $1`, [token.id])
  for (const { path, permission } of procedures) {
    if (permission !== 'any') await expectRefused(path, bearer(token), 'FORBIDDEN missing_scope')
  }
})

describe('the owner’s token that may only read gets nowhere with', () => {
  const writing = procedures.flatMap(({ path, permission }) =>
    permission.endsWith(':write') ? [{ path, permission }] : [],
  )

  test.for(writing)('$path', async ({ path, permission }) => {
    const scopes = [permission.replace(':write', ':read') as Scope]
    await expectRefused(path, bearer(await createApiToken(owner, { scopes })), 'FORBIDDEN missing_scope')
  })
})

describe('a token bound to one organization acts in no other:', () => {
  test.for(paths)('%s', async path => {
    const token = await createApiToken(owner, { scopes: SCOPES, organizationId: owner.organizationId })
    const other = await createHousehold(house, 'Other')
    await house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
      other.organizationId,
      owner.userId,
    ])
    const outcome = permissionOf(path) === 'session' ? 'FORBIDDEN missing_scope' : 'FORBIDDEN not_a_member'
    await expectRefused(path, { ...bearer(token), 'x-organization-id': other.organizationId }, outcome)
  })
})

describe('no input names an owner:', () => {
  const taking = procedures.filter(({ hasInput }) => hasInput).map(({ path }) => path)

  test.for(taking)('%s', async path => {
    const stranger = await createActor(house, { name: 'Stranger' })
    const before = await snapshot()
    for (const { input } of casesOf(path)) {
      for (const key of ['userId', 'user_id', 'ownerId', 'createdBy', 'credential']) {
        const answer = await call(path, { ...Object(input(owner)), [key]: owner.userId }, bearer(stranger))
        expect(outcomeOf(answer)).toBe('BAD_REQUEST invalid_input')
      }
    }
    expect(await snapshot()).toEqual(before)
  })
})

describe('the owner is answered by', () => {
  test.for(paths)('%s', async path => {
    for (const { input } of casesOf(path)) {
      const household = await createHousehold(house, 'Householder')
      expect(outcomeOf(await call(path, input(household), bearer(household)))).toBe('OK')
    }
  })
})

async function createMember(): Promise<Actor> {
  const member = await createActor(house, { name: 'Member' })
  await house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
    owner.organizationId,
    member.userId,
  ])
  return member
}

async function leave(member: Actor): Promise<void> {
  await house.owner.query('delete from auth.members where user_id = $1', [member.userId])
}

/** Credentials of the owner's that have ended, and text that never was one. */
async function invalidCredentials(): Promise<Headers[]> {
  const past = new Date(Date.now() - 1_000)
  const expired = await createApiToken(owner, { scopes: SCOPES, expiresAt: past })
  const revoked = await createApiToken(owner, { scopes: SCOPES })
  await house.owner.query('update app.api_tokens set revoked_at = now() where id = $1', [revoked.id])
  const rotated = await createApiToken(owner, { scopes: SCOPES })
  await house.owner.query('update app.api_tokens set grace_until = $2 where id = $1', [rotated.id, past])
  return [
    {},
    { authorization: '' },
    { authorization: 'Bearer ' },
    { authorization: `Basic ${owner.token}` },
    { authorization: `Bearer rhl_${randomUUID().replaceAll('-', '')}` },
    { authorization: `Bearer ${owner.userId}` },
    { cookie: `better-auth.session_token=${owner.token.slice(0, -4)}` },
    bearer(expired),
    bearer(revoked),
    bearer(rotated),
  ]
}

function asWrite(permission: string): string {
  return permission.replace(/:read$/, ':write')
}
