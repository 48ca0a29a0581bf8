import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createActor, createApiToken, startSession } from '../actors.ts'
import { outcomeOf, procedures, withMissingIds } from './call.ts'
import { createHousehold, idsOf, workIdsOf } from './dataset.ts'
import { createLeaseForNewTask, type Lease } from './dataset-leases.ts'
import { bearer, casesOf, definitionOf, type Headers, type Matrix, openMatrix, paths } from './matrix.ts'

// Leases that are for another task, or that have ended, with the owner's ids.

let matrix: Matrix

beforeAll(async () => {
  matrix = await openMatrix()
})

afterAll(async () => {
  await matrix.close()
})

const open = procedures.filter(({ isLeases }) => isLeases).map(({ path }) => path)
const closed = paths.filter(path => !open.includes(path))

/** The owner's work, and not what the lease opens. */
async function othersRows(taskId: string): Promise<Record<string, string[]>> {
  const rows = await matrix.rowsMentioning([...workIdsOf(matrix.owner), matrix.owner.canary])
  return Object.fromEntries(
    Object.entries(rows).map(([name, all]) => [name, all.filter(row => !row.includes(taskId))]),
  )
}

/** Answered about the lease's own task, or told that there is no such thing. */
async function expectAnotherTasksAnswer(
  path: string,
  createLease: () => Promise<Lease & { taskId: string }>,
) {
  const { owner, call } = matrix
  for (const { input, stranger } of casesOf(path)) {
    const lease = await createLease()
    const before = await othersRows(lease.taskId)
    const all = await matrix.fingerprint()
    const answer = await call(path, input(owner), bearer(lease))
    const isOwn = stranger === 'own' || definitionOf(path).permission === 'lease'
    expect(outcomeOf(answer)).toBe(isOwn ? 'OK' : 'NOT_FOUND not_found')
    // Whom the task belongs to, a lease may know.
    const hidden = path === 'account.me' ? workIdsOf(owner) : [...workIdsOf(owner), owner.canary]
    for (const mark of hidden) expect(answer.body).not.toContain(mark)
    expect(await othersRows(lease.taskId)).toEqual(before)
    if (isOwn) continue
    expect(answer).toEqual(await call(path, withMissingIds(input(owner), idsOf(owner)), bearer(lease)))
    expect(await matrix.fingerprint()).toEqual(all)
  }
}

test('there are procedures for leases, and others', () => {
  expect(open.length).toBeGreaterThan(10)
  expect(closed.length).toBeGreaterThan(10)
})

describe('a lease gets nowhere, for whichever task of whomever it is, with', () => {
  test.for(closed)('%s', async path => {
    const { house, owner } = matrix
    const stranger = await createActor(house, { name: 'Stranger' })
    const leases = [
      owner.lease,
      await createLeaseForNewTask(house, owner),
      await createLeaseForNewTask(house, stranger),
    ]
    await matrix.expectRefused(path, leases.map(bearer), 'FORBIDDEN missing_scope')
  })
})

describe('a lease for another task of the same owner’s gets nowhere with', () => {
  test.for(open)('%s', async path => {
    await expectAnotherTasksAnswer(path, () => createLeaseForNewTask(matrix.house, matrix.owner))
  })
})

describe('a lease for a stranger’s task gets nowhere with', () => {
  test.for(open)('%s', async path => {
    const stranger = await createActor(matrix.house, { name: 'Stranger' })
    await expectAnotherTasksAnswer(path, () => createLeaseForNewTask(matrix.house, stranger))
  })
})

describe('a lease that has ended gets nowhere with', () => {
  let ended: Headers[]

  beforeAll(async () => {
    ended = (await endedLeases()).map(bearer)
  })

  test.for(paths)('%s', async path => {
    await matrix.expectRefused(path, ended, 'CONFLICT lease_lost')
  })
})

describe('a lease gets nowhere in an organization’s name with', () => {
  test.for(open)('%s', async path => {
    for (const { input } of casesOf(path)) {
      const household = await createHousehold(matrix.house, 'Householder')
      const under = { ...household, taskId: household.leasedTaskId }
      const headers = bearer(household.lease)
      const named = { ...headers, 'x-organization-id': matrix.owner.organizationId }
      const answer = await matrix.call(path, input(under), named)
      expect(outcomeOf(answer)).toBe('OK')
      expect(answer.body).not.toContain(matrix.owner.organizationId)
    }
  })
})

describe('a lease for the very task is answered by', () => {
  test.for(open)('%s', async path => {
    for (const { input } of casesOf(path)) {
      const household = await createHousehold(matrix.house, 'Householder')
      const under = { ...household, taskId: household.leasedTaskId }
      expect(outcomeOf(await matrix.call(path, input(under), bearer(household.lease)))).toBe('OK')
    }
  })
})

/** Leases of the owner's whose time is over, one for each way to end. */
async function endedLeases(): Promise<Lease[]> {
  const { house, owner } = matrix
  const sql = (text: string, id: string) => house.owner.query(text, [id])

  const lapsed = await createLeaseForNewTask(house, owner)
  await sql('update app.task_leases set expires_at = now() where id = $1', lapsed.id)
  const ended = await createLeaseForNewTask(house, owner)
  await sql('update app.task_leases set ended_at = now() where id = $1', ended.id)
  const stopped = await createLeaseForNewTask(house, owner)
  await sql(`update app.tasks set status = 'stopped' where id = $1`, stopped.taskId)
  const completed = await createLeaseForNewTask(house, owner)
  await sql(`update app.tasks set status = 'completed' where id = $1`, completed.taskId)
  const removed = await createLeaseForNewTask(house, owner)
  await sql(
    'update app.tasks set deleted_at = now(), deletion_id = app.new_id() where id = $1',
    removed.taskId,
  )

  const tokens = {
    revoked: 'update app.api_tokens set revoked_at = now() where id = $1',
    expired: 'update app.api_tokens set expires_at = now() where id = $1',
    rotated: 'update app.api_tokens set grace_until = now() where id = $1',
    deleted: 'delete from app.api_tokens where id = $1',
  }
  const byToken = Object.values(tokens).map(async ending => {
    const { id } = await createApiToken(owner, { scopes: ['tasks:work'] })
    const lease = await createLeaseForNewTask(house, { userId: owner.userId, apiTokenId: id })
    await sql(ending, id)
    return lease
  })
  const sessions = {
    expired: 'update auth.sessions set expires_at = now() where id = $1',
    revoked: 'delete from auth.sessions where id = $1',
  }
  const bySession = Object.values(sessions).map(async ending => {
    const { sessionId } = await startSession(owner)
    const lease = await createLeaseForNewTask(house, { userId: owner.userId, sessionId })
    await sql(ending, sessionId)
    return lease
  })
  const usersGone = await createActor(house, { name: 'Gone' })
  const orphaned = await createLeaseForNewTask(house, usersGone)
  await sql('delete from auth.users where id = $1', usersGone.userId)
  return [
    lapsed,
    ended,
    stopped,
    completed,
    removed,
    orphaned,
    ...(await Promise.all(byToken)),
    ...(await Promise.all(bySession)),
  ]
}
