import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Services } from '#server/app/services.ts'
import { createApiToken as newToken } from '#server/rooms/api-tokens/format.ts'
import { SCOPES } from '#server/rpc/scopes.ts'
import {
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
  testServices,
} from '../actors.ts'
import { callProcedure, outcomeOf } from './call.ts'
import { sessionCredential } from './dataset.ts'

// When a credential is one. The first half has no database behind it, so that whoever asked would be told of
// its absence.

const REFUSED = 'UNAUTHORIZED unauthenticated'
const NO_DATABASE = 'SERVICE_UNAVAILABLE database_unavailable'

let house: House
let disconnected: Services

beforeAll(async () => {
  house = await openHouse()
  const nowhere = 'postgres://nobody:nothing@127.0.0.1:1/nowhere'
  const urls = { api: nowhere, public: nowhere, auth: nowhere, system: nowhere, listen: nowhere }
  disconnected = testServices({ urls })
})

afterAll(async () => {
  await disconnected.pools.close()
  await house.close()
})

async function outcome(
  services: Services,
  headers: { authorization?: string; cookie?: string },
): Promise<string> {
  return outcomeOf(await callProcedure(services, { path: 'account.me', headers }))
}

/** Every text that differs from this one in a single place: a character changed, left out or doubled. */
function neighboursOf(text: string): string[] {
  return [...text].flatMap((character, i) => {
    const other = character === 'A' ? 'B' : 'A'
    const before = text.slice(0, i)
    const after = text.slice(i + 1)
    return [before + other + after, before + after, before + character + character + after]
  })
}

describe('refused without a query:', () => {
  test('an API token that is one character off', async () => {
    const token = newToken()
    expect(await outcome(disconnected, { authorization: `Bearer ${token}` })).toBe(NO_DATABASE)
    for (const neighbour of neighboursOf(token)) {
      expect(await outcome(disconnected, { authorization: `Bearer ${neighbour}` }), neighbour).toBe(REFUSED)
    }
  })

  test('a session token that is one character off, as a bearer and as a cookie', async () => {
    const { token } = await createActor(house)
    expect(await outcome(disconnected, { authorization: `Bearer ${token}` })).toBe(NO_DATABASE)
    for (const neighbour of neighboursOf(token)) {
      expect(await outcome(disconnected, { authorization: `Bearer ${neighbour}` }), neighbour).toBe(REFUSED)
      const cookie = `better-auth.session_token=${encodeURIComponent(neighbour)}`
      expect(await outcome(disconnected, { cookie }), neighbour).toBe(REFUSED)
    }
  })

  test('a session token without its signature, or with another token’s', async () => {
    const [first, second] = [await createActor(house), await createActor(house)]
    const [raw, signature] = [
      first.token.slice(0, first.token.lastIndexOf('.')),
      second.token.split('.').at(-1),
    ]
    for (const token of [raw, `${raw}.`, `${raw}.${signature}`, `.${signature}`, `${raw}.${raw}`]) {
      expect(await outcome(disconnected, { authorization: `Bearer ${token}` })).toBe(REFUSED)
    }
  })

  test('what the database stores of a session and of a token', async () => {
    const actor = await createActor(house)
    await createApiToken(actor, { scopes: SCOPES })
    const { rows } = await house.owner.query<{ stored: string }>(
      `select token as stored from auth.sessions where user_id = $1
       union all select encode(token_hash, 'hex') from app.api_tokens where user_id = $1
       union all select encode(token_hash, 'base64') from app.api_tokens where user_id = $1
       union all select prefix from app.api_tokens where user_id = $1`,
      [actor.userId],
    )
    expect(rows).toHaveLength(4)
    for (const { stored } of rows) {
      for (const text of [stored, `rht_${stored}`, `s:${stored}`, `t:${stored}`, `${stored}.${stored}`]) {
        expect(await outcome(disconnected, { authorization: `Bearer ${text}` })).toBe(REFUSED)
        expect(await outcome(disconnected, { cookie: `better-auth.session_token=${text}` })).toBe(REFUSED)
      }
    }
  })

  test('garbage', async () => {
    for (const text of [
      '',
      ' ',
      '.',
      'x',
      'rht_',
      'rhl_',
      'null',
      'undefined',
      '%',
      '%00',
      '..',
      'ü'.repeat(50),
      'A'.repeat(10_000),
    ]) {
      expect(await outcome(disconnected, { authorization: `Bearer ${text}` }), text).toBe(REFUSED)
      expect(await outcome(disconnected, { authorization: text }), text).toBe(REFUSED)
      expect(await outcome(disconnected, { cookie: `better-auth.session_token=${text}` }), text).toBe(REFUSED)
    }
  })
})

describe('accepted once, and refused by the next statement after', () => {
  type Ending = [title: string, sql: string]

  const sessionEndings: Ending[] = [
    ['the session has expired', `update auth.sessions set expires_at = now() where user_id = $1`],
    ['the session was revoked', `delete from auth.sessions where user_id = $1`],
    ['the user was deleted', `delete from auth.users where id = $1`],
  ]

  test.for(sessionEndings)('%s', async ([, sql]) => {
    const actor = await createActor(house)
    expect(await outcome(house.services, actor)).toBe('OK')
    await house.owner.query(sql, [actor.userId])
    expect(await outcome(house.services, actor)).toBe(REFUSED)
  })

  const tokenEndings: Ending[] = [
    ['the token has expired', `update app.api_tokens set expires_at = now() where user_id = $1`],
    ['the token was revoked', `update app.api_tokens set revoked_at = now() where user_id = $1`],
    [
      'the token was rotated and its grace is over',
      `update app.api_tokens set grace_until = now() where user_id = $1`,
    ],
    ['the token was removed', `delete from app.api_tokens where user_id = $1`],
    ['the token’s user was deleted', `delete from auth.users where id = $1`],
  ]

  test.for(tokenEndings)('%s', async ([, sql]) => {
    const actor = await createActor(house)
    const token = await createApiToken(actor, { scopes: SCOPES })
    expect(await outcome(house.services, token)).toBe('OK')
    await house.owner.query(sql, [actor.userId])
    expect(await outcome(house.services, token)).toBe(REFUSED)
  })

  const membershipEndings: Ending[] = [
    ['the member was removed', 'delete from auth.members where user_id = $1'],
    [
      'the organization was deleted',
      `update auth.organizations o set deleted_at = now(), deletion_id = app.new_id()
       from auth.members m where m.organization_id = o.id and m.user_id = $1`,
    ],
  ]

  test.for(membershipEndings)('%s', async ([, sql]) => {
    const [boss, member] = [await createActor(house), await createActor(house)]
    const { id } = await createOrganization(boss, [member])
    const { token } = await createApiToken(member, { scopes: SCOPES, organizationId: id })
    const asMember = {
      path: 'account.me',
      headers: { authorization: member.authorization, 'x-organization-id': id },
    }
    const asProgram = { path: 'account.me', headers: { authorization: `Bearer ${token}` } }
    for (const call of [asMember, asProgram]) {
      expect(outcomeOf(await callProcedure(house.services, call))).toBe('OK')
    }
    await house.owner.query(sql, [member.userId])
    expect(outcomeOf(await callProcedure(house.services, asMember))).toBe('FORBIDDEN not_a_member')
    expect(['FORBIDDEN not_a_member', REFUSED]).toContain(
      outcomeOf(await callProcedure(house.services, asProgram)),
    )
    // As an active organization it counts as none: the session goes on as its user's.
    await house.owner.query('update auth.sessions set active_organization_id = $2 where user_id = $1', [
      member.userId,
      id,
    ])
    expect(await outcome(house.services, member)).toBe('OK')
  })

  test('a transaction that is under way ends with the credential', async () => {
    const actor = await createActor(house)
    const client = new pg.Client(house.database.directUrls.api)
    await client.connect()
    try {
      const credential = sessionCredential(actor)
      await client.query('begin')
      await client.query('select * from app.sign_in($1, $2, $3, $4, $5)', [
        credential,
        null,
        'any',
        false,
        5_000,
      ])
      const insert = `insert into app.settings (key, value) values ('theme', '"dark"') returning key`
      expect((await client.query(insert)).rowCount).toBe(1)
      await house.owner.query('delete from auth.sessions where user_id = $1', [actor.userId])
      expect((await client.query('select from app.settings')).rowCount).toBe(0)
      await expect(client.query(insert)).rejects.toMatchObject({ code: '42501' })
    } finally {
      await client.end()
    }
  })
})
