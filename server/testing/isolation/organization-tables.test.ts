import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findIsolationProblems } from '#server/postgres/isolation.ts'
import { SCOPES } from '#server/rpc/scopes.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
  openHouse,
} from '../actors.ts'
import { createHousehold, type Household, sessionCredential, tokenCredential } from './dataset.ts'
import { findGifts, findLeaks, findLosses, sampleRows } from './probe.ts'
import { readTables, type Table } from './tables.ts'

// A table that an organization owns, as a room would make one: members read, admins and owners write. It
// shows what the functions of a policy tell about every kind of caller, and that lint and probes know such a
// table.

const NOTES = `
create table app.notes (
  organization_id uuid not null default app.current_organization_id(),
  id uuid not null default app.new_id(),
  text text not null,
  constraint notes_pkey primary key (organization_id, id),
  constraint notes_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade
);
alter table app.notes enable row level security;
create policy select_member on app.notes for select to rowhouse_api
  using (organization_id = (select app.current_organization_id()));
create policy insert_admin on app.notes for insert to rowhouse_api
  with check (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  );
create policy update_admin on app.notes for update to rowhouse_api
  using (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  )
  with check (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  );
create policy delete_admin on app.notes for delete to rowhouse_api
  using (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  );
grant select, insert (text), update (text), delete on app.notes to rowhouse_api;`

let house: House
let client: pg.Client
let owner: Household
let neighbour: Household
let notes: Table[]

beforeAll(async () => {
  house = await openHouse()
  await house.owner.query(NOTES)
  owner = await createHousehold(house, 'Owner')
  neighbour = await createHousehold(house, 'Neighbour')
  for (const { organizationId, canary } of [owner, neighbour]) {
    await house.owner.query('insert into app.notes (organization_id, text) values ($1, $2)', [
      organizationId,
      canary,
    ])
  }
  notes = (await readTables(house.owner)).filter(({ name }) => name === 'app.notes')
  client = new pg.Client(house.database.directUrls.api)
  client.on('error', () => {})
  await client.connect()
})

afterAll(async () => {
  await client.end()
  await house.close()
})

/**
 * What a caller reaches of the owner's notes who claims to act in an organization: r(ead), i(nsert),
 * u(pdate), d(elete).
 */
async function reach(credential: string | null, organizationId: string): Promise<string> {
  let reached = ''
  for (const [letter, sql] of [
    ['r', `select from app.notes where text = '${owner.canary}'`],
    [
      'i',
      `insert into app.notes (text) values ('x') returning (organization_id = '${owner.organizationId}')`,
    ],
    ['u', `update app.notes set text = 'x' where text = '${owner.canary}'`],
    ['d', `delete from app.notes where text = '${owner.canary}'`],
  ] as const) {
    await client.query('begin')
    await client.query(
      `select set_config('app.credential', $1, true), set_config('app.organization', $2, true)`,
      [credential ?? '', organizationId],
    )
    const result = await client.query(sql).catch(error => {
      // Refused by a policy, or by the key of no organization.
      expect(['42501', '23502']).toContain(error.code)
      return { rowCount: 0, rows: [] }
    })
    await client.query('rollback')
    const isForeign = letter === 'i' && Object.values(result.rows[0] ?? {})[0] !== true
    if (result.rowCount && !isForeign) reached += letter
  }
  return reached
}

async function join(role: 'owner' | 'admin' | 'member'): Promise<Actor> {
  const actor = await createActor(house, { name: role })
  await house.owner.query('insert into auth.members (organization_id, user_id, role) values ($1, $2, $3)', [
    owner.organizationId,
    actor.userId,
    role,
  ])
  return actor
}

test('the lint finds nothing, and the probes neither leak, loss nor gift', async () => {
  expect(await findIsolationProblems(client)).toEqual([])
  const samples = await sampleRows(house.owner, notes, [owner.canary])
  const newcomer = await createActor(house)
  const callers = [
    { name: 'nobody', credential: null },
    { name: 'a newcomer', credential: sessionCredential(newcomer) },
    { name: 'the neighbour', credential: sessionCredential(neighbour) },
    { name: 'the owner’s lease', credential: owner.lease.credential },
  ]
  const credential = sessionCredential(owner)
  await client.query('begin')
  expect(await findLeaks(client, { tables: notes, callers, owner, samples })).toEqual([])
  expect(await findLosses(client, { tables: notes, owner, credential, samples })).toEqual([])
  await client.query('rollback')

  await house.owner.query('grant all on app.notes to rowhouse_api')
  await house.owner.query('insert into auth.members (organization_id, user_id, role) values ($1, $2, $3)', [
    neighbour.organizationId,
    owner.userId,
    'owner',
  ])
  const widened = (await readTables(house.owner)).filter(({ name }) => name === 'app.notes')
  await client.query('begin')
  const { organizationId } = owner
  expect(
    await findGifts(client, { tables: widened, credential, recipient: neighbour, organizationId }),
  ).toEqual([])
  await client.query('rollback')
})

describe('what an organization owns', () => {
  test('its members read, and its admins and owners write', async () => {
    const expected = { owner: 'riud', admin: 'riud', member: 'r' } as const
    for (const role of ['owner', 'admin', 'member'] as const) {
      const actor = await join(role)
      expect(await reach(sessionCredential(actor), owner.organizationId)).toBe(expected[role])
      const free = await createApiToken(actor, { scopes: SCOPES })
      expect(await reach(tokenCredential(free), owner.organizationId)).toBe(expected[role])
      // Acting nowhere, or in another organization, they reach nothing of it.
      expect(await reach(sessionCredential(actor), '')).toBe('')
      const { id: other } = await createOrganization(actor)
      expect(await reach(sessionCredential(actor), other)).toBe('')
      const bound = await createApiToken(actor, { scopes: SCOPES, organizationId: other })
      expect(await reach(tokenCredential(bound), owner.organizationId)).toBe('')
      expect(await reach(tokenCredential(bound), other)).toBe('')
    }
  })

  test('nobody else reaches, whatever they claim', async () => {
    const invited = await createActor(house, { name: 'Invited' })
    await createInvitation(owner, {
      organizationId: owner.organizationId,
      email: invited.email,
      role: 'owner',
    })
    const exMember = await join('owner')
    await house.owner.query('delete from auth.members where user_id = $1', [exMember.userId])
    const strangers = [invited, exMember, await createActor(house)]
    for (const stranger of strangers) {
      expect(await reach(sessionCredential(stranger), owner.organizationId)).toBe('')
    }
    expect(await reach(null, owner.organizationId)).toBe('')
    expect(await reach(owner.lease.credential, owner.organizationId)).toBe('')
  })

  test('a member of an organization that is removed does not reach', async () => {
    const { organizationId } = owner
    const admin = await join('admin')
    await owner.caller().organizations.remove({ organizationId })
    expect(await reach(sessionCredential(admin), organizationId)).toBe('')
    expect(await reach(sessionCredential(owner), organizationId)).toBe('')
    await owner.caller().organizations.restore({ organizationId })
    expect(await reach(sessionCredential(admin), organizationId)).toBe('riud')
  })
})
