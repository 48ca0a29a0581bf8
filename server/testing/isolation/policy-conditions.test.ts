import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createActor, type House, openHouse } from '../actors.ts'
import { bend, outcomesIn, type Presented, setScene, valuesOf } from './condition-probe.ts'
import { createHousehold, type Household, sessionCredential, tokenCredential } from './dataset.ts'
import { type Mutation, mutationsOf, readPolicies } from './mutations.ts'

// Removes one condition at a time from each policy with several, and expects that a caller can then do more
// than before.

vi.setConfig({ testTimeout: 300_000 })

let house: House
let superuser: pg.Client
let owner: Household
let neighbour: Household
let callers: Presented[]
let mutations: Mutation[]
/** Was a member of the owner's organization, and has removed their account. */
let removedUserId: string

beforeAll(async () => {
  house = await openHouse()
  superuser = new pg.Client(house.database.superuserUrl)
  superuser.on('error', () => {})
  await superuser.connect()
  owner = await createHousehold(house, 'Owner')
  neighbour = await createHousehold(house, 'Neighbour')
  const member = await createActor(house, { name: 'Member' })
  await house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
    owner.organizationId,
    member.userId,
  ])
  const removed = await createActor(house, { name: 'Removed' })
  removedUserId = removed.userId
  await house.owner.query('update auth.users set removed_at = now() where id = $1', [removedUserId])
  const { organizationId } = owner
  callers = [
    { name: 'the owner', credential: sessionCredential(owner), organizationId },
    { name: 'a token', credential: tokenCredential(owner.apiToken), organizationId },
    { name: 'a lease', credential: owner.lease.credential, organizationId },
    { name: 'a member', credential: sessionCredential(member), organizationId },
    { name: 'a neighbour', credential: sessionCredential(neighbour), organizationId },
  ]
  const policies = (await readPolicies(house.owner)).filter(({ role }) => role === 'rowhouse_api')
  mutations = mutationsOf(policies, 'condition')
})

afterAll(async () => {
  await superuser.end()
  await house.close()
})

/** What goes into a row's place for what it names. */
function othersOf(): Record<string, string[]> {
  return {
    user_id: [neighbour.userId, removedUserId],
    organization_id: [neighbour.organizationId],
    session_id: [neighbour.sessionId],
    task_id: [owner.taskId, owner.leasedTaskId],
    lease_id: [neighbour.lease.id, owner.lease.id],
    run_id: [owner.runId],
    message_id: [owner.messageId],
  }
}

/** Conditions that another one implies. They stay, so that each policy says whose rows it is about. */
const IMPLIED = [
  // By `using`, which asks the same of the row as it was.
  'policy update_admin on app.ai_provider_configs, with check without (( SELECT app.current_organization_role()',
  // By the policies of the messages and runs that the other condition reads.
  'policy insert_lease on app.task_message_deltas, with check without (user_id',
  'policy insert_lease on app.tool_calls, with check without (user_id',
  'policy update_lease on app.tool_calls, using without (user_id',
  'policy update_lease on app.tool_calls, with check without (user_id',
]

/** Whether somebody can do more, or less, to some row once the mutation has happened. */
async function isNoticed({ table, sql, condition = '' }: Mutation): Promise<boolean> {
  const others = othersOf()
  // Whether it is this task shows in one that is under way by the same lease.
  const naming = condition.replace(/^\(id = /, '(id, lease_id, status = ')
  await superuser.query('begin')
  try {
    await superuser.query(`grant all on ${table} to rowhouse_api`)
    const scene = await setScene(superuser, { table, condition: naming, others })
    for (const [name, value] of [undefined, ...valuesOf(naming, others)].map(bent => bent ?? [])) {
      await superuser.query('savepoint scene')
      if (name !== undefined && value !== undefined) await bend(superuser, scene, [name, value])
      const before = await outcomesIn(superuser, scene, callers)
      await superuser.query(sql)
      const after = await outcomesIn(superuser, scene, callers)
      await superuser.query('rollback to savepoint scene')
      if ([...after].some(([what, outcome]) => before.get(what) !== outcome)) return true
    }
    return false
  } finally {
    await superuser.query('rollback')
  }
}

test('every condition of every policy keeps somebody from something', async () => {
  expect(mutations.length).toBeGreaterThan(30)
  const unnoticed: string[] = []
  for (const mutation of mutations) if (!(await isNoticed(mutation))) unnoticed.push(mutation.title)
  const isImplied = (title: string) => IMPLIED.some(implied => title.startsWith(implied))
  expect(unnoticed.filter(title => !isImplied(title))).toEqual([])
  expect(unnoticed).toHaveLength(IMPLIED.length)
})
