import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { findIsolationProblems } from '#server/postgres/isolation.ts'
import { createActor, type House, openHouse } from '../actors.ts'
import { createHousehold, type Household, marksOf, sessionCredential, workOf } from './dataset.ts'
import { isSibling, type Mutation, mutationsOf, type Policy, readPolicies } from './mutations.ts'
import {
  asLeased,
  type Caller,
  findExcess,
  findGifts,
  findLeaks,
  findLosses,
  type SampleRows,
  sampleRows,
} from './probe.ts'
import { createStrangers } from './strangers.ts'
import { readTables, type Table } from './tables.ts'

// Breaks one policy at a time, or one table's row-level security, and expects the catalog lint, the probes,
// or both to notice. Each break happens in a transaction that is rolled back.

// Every policy of every table takes its turn in one test.
vi.setConfig({ testTimeout: 180_000 })

/** Users' tables, with rows that the members of an organization read. */
const SHARED_WITH_MEMBERS = ['app.approvals']

/** What must be so of every row that the public login reads. */
const PUBLIC_ROWS: Readonly<Record<string, string>> = {
  'app.tools': 'is_enabled',
  'app.content': `status = 'published'`,
}

let house: House
let superuser: pg.Client
let tables: Table[]
let samples: SampleRows
let leasedSamples: SampleRows
let owner: Household
let neighbour: Household
/** What a member of the owner's organization presents, who owns nothing. */
let memberCredential: string
let strangers: Caller[]
let policies: Policy[]

beforeAll(async () => {
  house = await openHouse()
  superuser = new pg.Client(house.database.superuserUrl)
  superuser.on('error', () => {})
  await superuser.connect()
  owner = await createHousehold(house, 'Owner')
  neighbour = await createHousehold(house, 'Neighbour')
  tables = await readTables(house.owner)
  samples = await sampleRows(house.owner, tables, marksOf(owner))
  leasedSamples = await sampleRows(house.owner, asLeased(tables), workOf(owner))
  const member = await createActor(house, { name: 'Member' })
  await house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
    owner.organizationId,
    member.userId,
  ])
  memberCredential = sessionCredential(member)
  strangers = await createStrangers(house)
  policies = await readPolicies(house.owner)
})

afterAll(async () => {
  await superuser.end()
  await house.close()
})

/**
 * How a mutation is noticed: the lint's findings, and what the API's login can or can no longer do to its
 * table.
 */
async function noticesOf({ table, sql }: Mutation): Promise<{ lint: string[]; behaviour: string[] }> {
  await superuser.query('begin')
  try {
    await superuser.query(sql)
    const lint = (await findIsolationProblems(superuser)).map(({ object, problem }) => `${object} ${problem}`)
    const behaviour = await behaviourOf(table)
    // Once more with every right granted, so that the policies stand alone.
    await superuser.query('reset role')
    await superuser.query(`grant all on ${table} to rowhouse_api; grant usage on schema app to rowhouse_auth`)
    return { lint, behaviour: [...behaviour, ...(await behaviourOf(table))] }
  } finally {
    await superuser.query('rollback')
  }
}

async function behaviourOf(name: string): Promise<string[]> {
  // Policies know no columns: two stand for all.
  const mutated = (await readTables(superuser))
    .filter(table => table.name === name)
    .map(table => ({ ...table, updatable: table.updatable.slice(0, 2) }))
  const unmutated = tables.filter(table => table.name === name)
  await superuser.query('set local role rowhouse_api')
  const credential = sessionCredential(owner)
  const leased = {
    tables: asLeased(unmutated),
    owner: { name: 'a lease' },
    credential: owner.lease.credential,
    samples: leasedSamples,
  }
  return [
    ...(await findLeaks(superuser, { tables: mutated, callers: strangers, owner, samples })),
    ...(await findLosses(superuser, { tables: unmutated, owner, credential, samples })),
    ...(await findGifts(superuser, {
      tables: mutated,
      credential,
      recipient: neighbour,
      organizationId: owner.organizationId,
    })),
    ...(await findLosses(superuser, leased)),
    ...(await findLosses(superuser, {
      tables: unmutated.filter(table => SHARED_WITH_MEMBERS.includes(table.name)),
      owner: { name: 'a member', organizationId: owner.organizationId },
      credential: memberCredential,
      samples,
    })),
    ...(await findGifts(superuser, {
      ...leased,
      tables: mutated,
      recipient: neighbour,
      organizationId: owner.organizationId,
    })),
    ...(await findExcess(superuser, { ...leased, work: workOf(owner) })),
    ...(await findMemberFaults(name)),
    ...(await findAuthLosses(name)),
    ...(await findPublicFaults(name)),
  ]
}

/** Creators read what is theirs, members their organization's content, and nobody anything else. */
async function findMemberFaults(table: string): Promise<string[]> {
  if (table !== 'app.content') return []
  const { contentId, publishedContentId, removedContentId, sharedContentId } = owner
  const expected = [
    { credential: memberCredential, ids: [sharedContentId] },
    {
      credential: sessionCredential(owner),
      ids: [contentId, publishedContentId, removedContentId, sharedContentId],
    },
  ]
  for (const { credential, ids } of expected) {
    await superuser.query(`select set_config('app.credential', $1, true)`, [credential])
    const { rows } = await superuser.query<{ id: string }>('select id from app.content')
    const seen = rows.map(row => row.id).toSorted()
    if (seen.join() !== ids.toSorted().join())
      return [`a colleague, or the owner, reads something else of ${table}`]
  }
  return []
}

/**
 * Better Auth's login reads every row of its tables, but for what belongs to organizations that are removed.
 */
async function findAuthLosses(table: string): Promise<string[]> {
  if (!table.startsWith('auth.')) return []
  await superuser.query('savepoint as_auth; set local role rowhouse_auth')
  const { rows } = await superuser
    .query<{ isEmpty: boolean }>(`select not exists (select from ${table}) as "isEmpty"`)
    .catch(async error => {
      // A policy that is another login's calls what this one may not.
      expect(error.code).toBe('42501')
      await superuser.query('rollback to savepoint as_auth')
      return { rows: [{ isEmpty: true }] }
    })
  await superuser.query('set local role rowhouse_api')
  return rows[0]?.isEmpty ? [`Better Auth can't read ${table}`] : []
}

/** The public login reads what is published, and of the catalogue what is in use. */
async function findPublicFaults(table: string): Promise<string[]> {
  const shown = PUBLIC_ROWS[table]
  if (shown === undefined) return []
  await superuser.query('savepoint as_public; set local role rowhouse_public')
  const { rows } = await superuser
    .query<{ isShown: boolean }>(`select distinct ${shown} as "isShown" from ${table}`)
    .catch(async error => {
      // A policy that is another login's calls what this one may not.
      expect(error.code).toBe('42501')
      await superuser.query('rollback to savepoint as_public')
      return { rows: [] }
    })
  await superuser.query('set local role rowhouse_api')
  return rows.length === 1 && rows[0]?.isShown ? [] : [`the public login reads something else of ${table}`]
}

/** The mutations that one of `by` does not notice. */
async function unnoticed(mutations: readonly Mutation[], by: ('lint' | 'behaviour')[]): Promise<string[]> {
  expect(mutations.length).toBeGreaterThan(0)
  const missed: string[] = []
  for (const mutation of mutations) {
    const notices = await noticesOf(mutation)
    for (const kind of by) if (notices[kind].length === 0) missed.push(`${mutation.title} (${kind})`)
  }
  return missed
}

test('nothing is noticed where nothing is broken', async () => {
  for (const { name } of tables) {
    expect(await noticesOf({ title: '', table: name, sql: 'select' })).toEqual({ lint: [], behaviour: [] })
  }
})

describe('is noticed by what can be reached, and by the lint:', () => {
  test('a policy that is dropped', async () => {
    const drops = mutationsOf(policies, 'drop')
    expect(await unnoticed(drops, ['behaviour'])).toEqual([])
    // Where another policy for the same command stays, the lint can't know that there should be two.
    const last = drops.filter(
      (_, i) => !policies.some((policy, j) => i !== j && isSibling(policy, policies[i])),
    )
    expect(await unnoticed(last, ['lint'])).toEqual([])
  })

  test('a policy that is true', async () => {
    expect(await unnoticed(mutationsOf(policies, 'true'), ['behaviour', 'lint'])).toEqual([])
  })

  test('a policy that checks nothing', async () => {
    expect(await unnoticed(mutationsOf(policies, 'true check'), ['behaviour', 'lint'])).toEqual([])
  })

  test('a table without row-level security', async () => {
    const mutations = tables.map(({ name }) => ({
      title: name,
      table: name,
      sql: `alter table ${name} disable row level security`,
    }))
    expect(await unnoticed(mutations, ['behaviour', 'lint'])).toEqual([])
  })
})

describe('is noticed by what a lease can reach:', () => {
  test('a policy that does not bind it to its task', async () => {
    expect(await unnoticed(mutationsOf(policies, 'unbound'), ['behaviour'])).toEqual([])
  })
})

// Without `with check` an update is checked by `using`, and a policy for all roles meets logins that are
// granted nothing: the rows are as safe as before, but no longer by what the policy says.
describe('is noticed by the lint:', () => {
  test('a policy without a check', async () => {
    expect(await unnoticed(mutationsOf(policies, 'no check'), ['lint'])).toEqual([])
  })

  test('a policy for all roles', async () => {
    expect(await unnoticed(mutationsOf(policies, 'all roles'), ['lint'])).toEqual([])
  })

  test('and by what can be reached, where the policy was Better Auth’s', async () => {
    // Two ask for the organizations that their reader sees, and so show the API's login no more than before.
    const mutations = mutationsOf(policies, 'all roles').filter(
      ({ title, table }) =>
        title.includes('all_auth') && !['auth.members', 'auth.invitations'].includes(table),
    )
    expect(await unnoticed(mutations, ['behaviour'])).toEqual([])
  })
})
