import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SCOPES } from '#server/rpc/scopes.ts'
import { type Actor, createActor, createApiToken, WORKER_KEY } from '../actors.ts'
import { outcomeOf, procedures } from './call.ts'
import { createHousehold } from './dataset.ts'
import {
  bearer,
  casesOf,
  definitionOf,
  type Headers,
  type Matrix,
  openMatrix,
  paths,
  publicPaths,
} from './matrix.ts'
import { CASES } from './procedure-cases.ts'

// Strangers, ex-members, and those without a credential, with the owner's ids.

let matrix: Matrix
let invalid: Headers[]

beforeAll(async () => {
  matrix = await openMatrix()
  invalid = await invalidCredentials()
})

afterAll(async () => {
  await matrix.close()
})

test('every procedure has a case', () => {
  const all = [...paths, ...publicPaths]
  expect(all.filter(path => !(path in CASES))).toEqual([])
  expect(Object.keys(CASES).filter(path => !all.includes(path))).toEqual([])
  for (const path of all) expect(casesOf(path).length).toBeGreaterThan(0)
})

describe('a stranger with the owner’s ids gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const stranger = await createActor(matrix.house, { name: 'Stranger' })
    await matrix.expectStrangersAnswer(path, stranger, bearer(stranger))
  })
})

describe('a program of a stranger’s with every scope gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const stranger = await createActor(matrix.house, { name: 'Stranger' })
    const token = await createApiToken(stranger, { scopes: SCOPES })
    if (definitionOf(path).permission === 'session')
      await matrix.expectRefused(path, bearer(token), 'FORBIDDEN missing_scope')
    else await matrix.expectStrangersAnswer(path, stranger, bearer(token))
  })
})

describe('an ex-member gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const member = await createMember()
    await matrix.house.owner.query(
      'update auth.sessions set active_organization_id = $1 where user_id = $2',
      [matrix.owner.organizationId, member.userId],
    )
    const headers = { ...bearer(member), 'x-organization-id': matrix.owner.organizationId }
    expect(outcomeOf(await matrix.call('account.me', undefined, headers))).toBe('OK')
    await leave(member)
    const isLeasesOnly = definitionOf(path).permission === 'lease'
    await matrix.expectRefused(
      path,
      headers,
      isLeasesOnly ? 'FORBIDDEN missing_scope' : 'FORBIDDEN not_a_member',
    )
    await matrix.expectStrangersAnswer(path, member, bearer(member))
  })
})

describe('a token that was bound to an organization its owner has left is nobody’s:', () => {
  test.for(paths)('%s', async path => {
    const member = await createMember()
    const token = await createApiToken(member, {
      scopes: SCOPES,
      organizationId: matrix.owner.organizationId,
    })
    expect(outcomeOf(await matrix.call('account.me', undefined, bearer(token)))).toBe('OK')
    await leave(member)
    await matrix.expectRefused(path, bearer(token), 'UNAUTHORIZED unauthenticated')
  })
})

describe('without a valid credential nobody gets anywhere with', () => {
  test.for(paths)('%s', async path => {
    await matrix.expectRefused(path, invalid, 'UNAUTHORIZED unauthenticated')
  })
})

describe('everyone is answered alike, whatever they present, and changes nothing, by', () => {
  test.for(publicPaths)('%s', async path => {
    const member = await createMember()
    const presented = [bearer(matrix.owner), bearer(member), bearer(matrix.owner.apiToken), ...invalid]
    const before = await matrix.fingerprint()
    for (const { input, stranger } of casesOf(path)) {
      expect(stranger).toBe('public')
      const answer = await matrix.call(path, input(matrix.owner), {})
      expect(outcomeOf(answer)).toBe('OK')
      expect(answer.body).toContain(matrix.owner.publishedContentId)
      const { contentId, removedContentId, sharedContentId, email } = matrix.owner
      for (const hidden of [contentId, removedContentId, sharedContentId, email]) {
        expect(answer.body).not.toContain(hidden)
      }
      for (const headers of presented) {
        expect(await matrix.call(path, input(matrix.owner), headers)).toEqual(answer)
      }
    }
    expect(await matrix.fingerprint()).toEqual(before)
    await leave(member)
  })
})

describe('the operator’s workers, who have no user, get nowhere with', () => {
  test.for(paths.filter(path => path !== 'tasks.claim'))('%s', async path => {
    await matrix.expectRefused(
      path,
      { authorization: `Bearer ${WORKER_KEY}` },
      'UNAUTHORIZED unauthenticated',
    )
  })
})

describe('no input names an owner:', () => {
  const taking = procedures.filter(({ hasInput }) => hasInput).map(({ path }) => path)

  test.for(taking)('%s', async path => {
    const stranger = await createActor(matrix.house, { name: 'Stranger' })
    const before = await matrix.fingerprint()
    for (const { input } of casesOf(path)) {
      for (const key of ['userId', 'user_id', 'ownerId', 'createdBy', 'credential']) {
        const named = Object(input(matrix.owner))
        // A member whom the call is about.
        if (key in named) continue
        const answer = await matrix.call(path, { ...named, [key]: matrix.owner.userId }, bearer(stranger))
        expect(outcomeOf(answer)).toBe('BAD_REQUEST invalid_input')
      }
    }
    expect(await matrix.fingerprint()).toEqual(before)
  })
})

describe('the owner is answered by', () => {
  test.for(paths)('%s', async path => {
    for (const { input, owner = 'OK' } of casesOf(path)) {
      const household = await createHousehold(matrix.house, 'Householder')
      const caller = definitionOf(path).permission === 'lease' ? household.lease : household
      expect(outcomeOf(await matrix.call(path, input(household), bearer(caller)))).toBe(owner)
    }
  })
})

async function createMember(): Promise<Actor> {
  const member = await createActor(matrix.house, { name: 'Member' })
  await matrix.house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
    matrix.owner.organizationId,
    member.userId,
  ])
  return member
}

async function leave(member: Actor): Promise<void> {
  await matrix.house.owner.query('delete from auth.members where user_id = $1', [member.userId])
}

/** Credentials of the owner's that have ended, and text that never was one. */
async function invalidCredentials(): Promise<Headers[]> {
  const past = new Date(Date.now() - 1_000)
  const expired = await createApiToken(matrix.owner, { scopes: SCOPES, expiresAt: past })
  const revoked = await createApiToken(matrix.owner, { scopes: SCOPES })
  await matrix.house.owner.query('update app.api_tokens set revoked_at = now() where id = $1', [revoked.id])
  const rotated = await createApiToken(matrix.owner, { scopes: SCOPES })
  await matrix.house.owner.query('update app.api_tokens set grace_until = $2 where id = $1', [
    rotated.id,
    past,
  ])
  return [
    {},
    { authorization: '' },
    { authorization: 'Bearer ' },
    { authorization: `Basic ${matrix.owner.token}` },
    { authorization: `Bearer rhl_${randomUUID().replaceAll('-', '')}` },
    { authorization: `Bearer ${matrix.owner.userId}` },
    { cookie: `better-auth.session_token=${matrix.owner.token.slice(0, -4)}` },
    bearer(expired),
    bearer(revoked),
    bearer(rotated),
  ]
}
