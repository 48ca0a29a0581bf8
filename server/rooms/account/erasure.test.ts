import pino from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMetrics } from '#server/app/metrics.ts'
import { erasureLines, readErasures } from '#server/postgres/migrations/erasures.ts'
import { createMedia } from '#server/rooms/content/fixture.ts'
import { createEraser } from '#server/system/eraser.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { startServerProcess } from '#server/testing/server-process.ts'
import { addTasks, countRows, eraseEverything, openErasures, rowsOf } from './erasure-fixture.ts'

// Accounts with too many rows to delete before account.remove answers.

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house)
})
afterAll(() => house.close())

const UNAUTHENTICATED = { reason: 'unauthenticated' }

describe('a large account', { timeout: 180_000 }, () => {
  it('is hidden by one call, and deleted afterwards', async () => {
    await addTasks(ada, { tasks: 20_000, logs: 10 })
    const kept = await createActor(house, { name: 'Bob' })
    await addTasks(kept, { tasks: 3, logs: 2 })

    expect(await ada.caller().account.remove()).toEqual({ id: ada.userId })
    expect(await countRows(house, 'app.tasks', ada.userId)).toBe(20_000)
    expect(await refusalOf(ada.caller().account.me())).toMatchObject(UNAUTHENTICATED)

    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    const { rowCount } = await house.owner.query('select from auth.users where id = $1', [ada.userId])
    expect(rowCount).toBe(0)
    expect(await countRows(house, 'app.task_logs', kept.userId)).toBe(6)
  })

  it('is deleted by another process after one was killed, which keeps its progress', async () => {
    await addTasks(ada, { tasks: 2_000, logs: 15 })
    await ada.caller().account.remove()
    const { urls, ownerUrl } = house.database
    const left = () => countRows(house, 'app.task_logs', ada.userId)
    {
      await using server = await startServerProcess({ urls, directUrl: ownerUrl })
      await expect.poll(left, { timeout: 30_000, interval: 10 }).toBeLessThan(29_000)
      await server.stop('SIGKILL')
    }
    const after = await left()
    expect(after).toBeGreaterThan(0)
    const { rows } = await house.owner.query(
      `select row_count::int as count from app.erasures where key ->> 'id' = $1`,
      [ada.userId],
    )
    expect(rows[0].count).toBe(30_000 - after)
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
  })

  it('can be deleted by several processes at once, each row once', async () => {
    await addTasks(ada, { tasks: 1_000, logs: 5 })
    await ada.caller().account.remove()
    const erasers = Array.from({ length: 4 }, () => createEraser(house.services))
    for (const eraser of erasers) eraser.start()
    await expect.poll(() => openErasures(house), { timeout: 60_000 }).toBe(0)
    await Promise.all(erasers.map(eraser => eraser.stop()))
    const { rows } = await house.owner.query(
      `select row_count::int as count, failure_count as failures from app.erasures where key ->> 'id' = $1`,
      [ada.userId],
    )
    // Includes the tasks' logs, and the first thousand rows, which account.remove deleted itself.
    expect(rows).toEqual([{ count: 6_000, failures: 0 }])
  })

  it('continues after a batch that failed, and stores the error', async () => {
    await addTasks(ada, { tasks: 1_500, logs: 1 })
    await ada.caller().account.remove()
    const { rows } = await house.owner.query(`select id from app.erasures where key ->> 'id' = $1`, [
      ada.userId,
    ])
    const id = rows[0].id
    const { system } = house.services.pools
    let failures = 0
    const eraser = createEraser({
      log: house.services.log,
      pools: {
        system: {
          nextErasure: () => system.nextErasure(),
          noteErasureFailure: failure => system.noteErasureFailure({ ...failure, retryAfterMs: 10 }),
          // Fails as a statement timeout does.
          eraseBatch: async (job, limit) => {
            if (failures++ < 2) throw new Error('canceling statement due to statement timeout')
            return system.eraseBatch(job, limit)
          },
        },
      },
    })
    eraser.start()
    const read = async () =>
      (await house.owner.query('select * from app.erasures where id = $1', [id])).rows[0]
    await expect.poll(async () => (await read()).finished_at, { timeout: 60_000 }).not.toBeNull()
    await eraser.stop()
    expect(await read()).toMatchObject({
      failure_count: 2,
      last_error: expect.stringMatching(/statement timeout/),
    })
    expect(eraser.counts()).toMatchObject({ failures: 2, finished: 1 })
  })

  it('reports its start, progress and end to the operator', async () => {
    await addTasks(ada, { tasks: 500, logs: 5 })
    await ada.caller().account.remove()
    const under = await readErasures(house.database.ownerUrl)
    expect(under.open).toEqual([
      expect.objectContaining({
        parent: 'auth.users',
        key: { id: ada.userId },
        rows: 1_000,
        lastError: null,
      }),
    ])
    expect(erasureLines(under).join('\n')).toContain(`auth.users ${ada.userId}: 1000 rows since`)

    const logged: Record<string, unknown>[] = []
    const log = pino({}, { write: line => logged.push(JSON.parse(line)) })
    const eraser = createEraser({ ...house.services, log })
    const { registry } = createMetrics({ inFlight: () => 0, streams: () => 0, erasures: eraser.counts })
    eraser.start()
    await expect.poll(() => openErasures(house), { timeout: 30_000 }).toBe(0)
    await eraser.stop()
    expect(logged.map(({ msg }) => msg)).toEqual(['erasing what was removed', 'erased what was removed'])
    expect(logged.at(-1)).toMatchObject({ parent: 'auth.users', key: { id: ada.userId }, rows: 3_000 })
    const metrics = await registry.metrics()
    expect(metrics).toContain('rowhouse_erasures_finished_total 1')
    expect(metrics).toContain('rowhouse_erasures_rows_total 2000')
    expect((await readErasures(house.database.ownerUrl)).open).toEqual([])
  })

  it('loses its sessions, tokens and leases at once, also in running calls', async () => {
    await addTasks(ada, { tasks: 2_000 })
    const another = await startSession(ada)
    const token = await createApiToken(ada, { scopes: ['tasks:read', 'tasks:work'] })
    const claimed = await token.caller().tasks.claim({ worker: 'hers' })
    const claimedBySession = await another.caller().tasks.claim({ worker: 'hers, too' })
    const { workerKey } = house.services
    // No task of another user may be left for the operator's workers.
    await house.owner.query(`update app.tasks set status = 'completed' where user_id <> $1`, [ada.userId])
    const operators = anonymous(house, { authorization: `Bearer ${workerKey}` })
    const claimedByOperator = await operators.tasks.claim({ worker: 'the operator’s' })
    const upload = await createMedia(ada, { status: 'uploading' })
    const isUploadOpen = () => house.services.pools.system.isUploadOpen(ada.userId, upload)
    expect(await isUploadOpen()).toBe(true)
    await ada.caller().account.remove()

    for (const caller of [ada.caller, another.caller, token.caller]) {
      expect(await refusalOf(caller().account.me())).toMatchObject(UNAUTHENTICATED)
    }
    for (const claim of [claimed, claimedBySession, claimedByOperator]) {
      const lease = anonymous(house, { authorization: `Bearer ${claim?.lease}` })
      expect(await refusalOf(lease.tasks.heartbeat())).toMatchObject({ reason: 'lease_lost' })
      expect(await refusalOf(lease.tasks.complete())).toMatchObject({ reason: 'lease_lost' })
    }
    expect(await isUploadOpen()).toBe(false)
    // Her tasks cannot be claimed, and do not block other users' tasks.
    const bob = await createActor(house, { name: 'Bob' })
    const { id } = await bob.caller().tasks.create({ prompt: 'after hers' })
    expect(await operators.tasks.claim({ worker: 'the operator’s' })).toMatchObject({ task: { id } })
    expect(await operators.tasks.claim({ worker: 'the operator’s' })).toBeNull()
    await eraseEverything(house)
  })

  it('is hidden from members, from readers of its content and from deciders of its approvals', async () => {
    const bob = await createActor(house, { name: 'Bob' })
    const { id: organizationId, slug: organizationSlug } = await createOrganization(bob, [
      { actor: ada, role: 'admin' },
    ])
    const inOrganization = bob.caller({ 'x-organization-id': organizationId })
    const publish = async (title: string, mediaItemId: string) => {
      const { content } = ada.caller()
      const made = await content.create({
        title,
        contentType: 'video',
        mediaItemId,
        organizationId,
        tags: ['t'],
      })
      await content.publish({ id: made.id })
      return made
    }
    const shared = await publish('Shared', await createMedia(ada))
    const own = await ada
      .caller()
      .content.create({ title: 'Her own page', contentType: 'written', tags: ['t'] })
    await ada.caller().content.publish({ id: own.id })
    const approval = await ada.caller().approvals.request({
      kind: 'deploy',
      title: 'May I?',
      payload: { a: 1 },
      organizationId,
    })
    const invitation = await createInvitation(ada, { organizationId, email: 'eve@example.com' })
    await addTasks(ada, { tasks: 300, logs: 10, organizationId })
    const everyone = anonymous(house)
    const reads: Record<string, () => Promise<{ items: unknown[] } | unknown[]>> = {
      'content of the organization': () => inOrganization.content.list({ organizationId }),
      'approvals of the organization': () => inOrganization.approvals.list({}),
      'published content': () => everyone.content.published({}),
      'published content by creator': () => everyone.content.published({ creatorId: ada.userId }),
      'published content by organization': () => everyone.content.published({ organizationSlug }),
      'published content in a search': () => everyone.content.published({ search: 'shared or page' }),
      'published content by tag': () => everyone.content.published({ tags: ['t'] }),
      invitations: () => bob.caller().organizations.invitations.list({ organizationId }),
      members: async () =>
        (await bob.caller().organizations.members.list({ organizationId })).filter(
          ({ userId }) => userId !== bob.userId,
        ),
    }
    const seen = async () => {
      const found: string[] = []
      for (const [name, read] of Object.entries(reads)) {
        const answer = await read()
        if (JSON.stringify('items' in answer ? answer.items : answer) !== '[]') found.push(name)
      }
      return found
    }
    expect(await seen()).toContain('published content')
    expect(await seen()).toContain('approvals of the organization')

    await ada.caller().account.remove()
    expect(await countRows(house, 'app.content', ada.userId)).toBe(2)
    expect(await seen()).toEqual([])
    expect(await refusalOf(inOrganization.content.get({ id: shared.id }))).toMatchObject({
      reason: 'not_found',
    })
    expect(
      await refusalOf(everyone.content.bySlug({ slug: 'her-own-page', creatorId: ada.userId })),
    ).toMatchObject({
      reason: 'not_found',
    })
    const { approvals } = inOrganization
    for (const call of [
      () => approvals.get({ id: approval.id }),
      () => approvals.decide({ id: approval.id, decision: 'approve' }),
      () => approvals.cancel({ id: approval.id }),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ reason: 'not_found' })
    }
    expect(await refusalOf(bob.caller().organizations.invitations.cancel({ id: invitation }))).toMatchObject({
      reason: 'illegal_transition',
    })
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    expect(await seen()).toEqual([])
  })

  it('is deleted with an organization without other members, however many rows that has', async () => {
    const { id } = await createOrganization(ada)
    const gone = await createActor(house, { name: 'A former member' })
    await house.owner.query(
      `insert into app.approvals (user_id, organization_id, kind, title, payload, payload_hash, requested_by, event_seq, organization_event_seq)
       select $1, $2, 'deploy', 'x', '{}', sha256('x'), 'session', n, n from generate_series(1, 3000) n`,
      [gone.userId, id],
    )
    await ada.caller().account.remove()
    expect(await refusalOf(ada.caller().organizations.get({ organizationId: id }))).toMatchObject(
      UNAUTHENTICATED,
    )
    await eraseEverything(house)
    const { rowCount } = await house.owner.query('select from auth.organizations where id = $1', [id])
    expect(rowCount).toBe(0)
    expect(await countRows(house, 'app.approvals', gone.userId)).toBe(0)
  })

  it('is removed as decider from approvals, also in batches', async () => {
    const bob = await createActor(house, { name: 'Bob' })
    await house.owner.query(
      `insert into app.approvals (user_id, kind, title, payload, payload_hash, requested_by, status, decided_by, decided_at, event_seq)
       select $1, 'deploy', 'x', '{}', sha256('x'), 'session', 'approved', $2, now(), n from generate_series(1, 3000) n`,
      [bob.userId, ada.userId],
    )
    await ada.caller().account.remove()
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    expect(await countRows(house, 'app.approvals', bob.userId)).toBe(3_000)
  })

  it('is removed in the same way by a plain delete of the user', async () => {
    await addTasks(ada, { tasks: 2_000 })
    await house.owner.query('delete from auth.users where id = $1', [ada.userId])
    expect(await refusalOf(ada.caller().account.me())).toMatchObject(UNAUTHENTICATED)
    const { rows } = await house.owner.query(
      'select email, name, image, removed_at from auth.users where id = $1',
      [ada.userId],
    )
    expect(rows).toEqual([
      {
        email: `removed-${ada.userId}@removed.invalid`,
        name: 'removed',
        image: null,
        removed_at: expect.any(Date),
      },
    ])
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
  })
})

it('a small account is deleted before account.remove answers', async () => {
  await addTasks(ada, { tasks: 20, logs: 10 })
  await ada.caller().account.remove()
  expect(await rowsOf(house, ada.userId)).toEqual([])
  const { rows } = await house.owner.query(
    `select row_count::int as count, finished_at is not null as done from app.erasures where key ->> 'id' = $1`,
    [ada.userId],
  )
  expect(rows).toEqual([{ count: expect.any(Number), done: true }])
})
