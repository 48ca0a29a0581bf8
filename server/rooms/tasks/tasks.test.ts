import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { reasonOf } from '#server/testing/refusal.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

async function setStatus(id: string, status: string) {
  await house.owner.query('update app.tasks set status = $2 where id = $1', [id, status])
}

describe('creating and reading tasks', () => {
  it('fills in defaults, and a title from the prompt', async () => {
    const task = await ada.caller().tasks.create({ prompt: '  Fix the login page\nIt is broken.' })
    expect(task).toMatchObject({
      title: 'Fix the login page',
      prompt: '  Fix the login page\nIt is broken.',
      status: 'pending',
      progress: 0,
      options: {},
      pullRequest: null,
      lastLogSeq: 0,
    })
    expect(task).not.toHaveProperty('quota')
    expect(await ada.caller().tasks.get({ id: task.id })).toEqual(task)
  })

  it('cuts a long title at a word', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'word '.repeat(40) })
    expect(task.title).toMatch(/^(word )+word…$/)
    expect(task.title.length).toBeLessThanOrEqual(80)
  })

  it('answers a stranger as it answers for an id that does not exist', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'mine' })
    const foreign = await bob.caller().tasks.get({ id: task.id }).catch(String)
    const missing = await bob.caller().tasks.get({ id: '00000000-0000-4000-8000-000000000000' }).catch(String)
    expect(foreign).toBe(missing)
  })

  it.each([
    ['an empty prompt', { prompt: ' ' }],
    ['an owner', { prompt: 'x', userId: 'me' }],
    ['NUL', { prompt: 'a\0b' }],
    ['a lone surrogate', { prompt: 'a\ud800b' }],
    ['an unknown option', { prompt: 'x', options: { sudo: true } }],
    ['a URL that is not http', { prompt: 'x', repoUrl: 'javascript:alert(1)' }],
  ])('rejects %s', async (_, input) => {
    expect(await reasonOf(ada.caller().tasks.create(input as { prompt: string }))).toBe('BAD_REQUEST')
  })

  it('shares a task with an organization of the caller, and with no other', async () => {
    const own = await createOrganization(ada)
    const foreign = await createOrganization(bob)
    const task = await ada.caller().tasks.create({ prompt: 'x', organizationId: own.id })
    expect(task.organizationId).toBe(own.id)
    expect(await reasonOf(ada.caller().tasks.create({ prompt: 'x', organizationId: foreign.id }))).toBe(
      'not_a_member',
    )
  })

  it('does not let a token bound to one organization share a task with another', async () => {
    const [first, second] = [await createOrganization(ada), await createOrganization(ada)]
    const token = await createApiToken(ada, { scopes: ['tasks:write'], organizationId: first.id })
    expect(await reasonOf(token.caller().tasks.create({ prompt: 'x', organizationId: second.id }))).toBe(
      'not_a_member',
    )
  })

  it('keeps a task shared with an organization after its owner left', async () => {
    const organization = await createOrganization(bob, [ada])
    const task = await ada.caller().tasks.create({ prompt: 'x', organizationId: organization.id })
    await house.owner.query('delete from auth.members where user_id = $1 and organization_id = $2', [
      ada.userId,
      organization.id,
    ])
    expect((await ada.caller().tasks.get({ id: task.id })).organizationId).toBeNull()
  })
})

describe('listing tasks', () => {
  it('returns each task on exactly one page, newest first, while others are created', async () => {
    const eve = await createActor(house, { name: 'Eve' })
    const created: string[] = []
    for (let i = 0; i < 7; i++) created.push((await eve.caller().tasks.create({ prompt: `task ${i}` })).id)

    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await eve.caller().tasks.list({ limit: 3, cursor })
      seen.push(...page.items.map(task => task.id))
      cursor = page.nextCursor ?? undefined
      await eve.caller().tasks.create({ prompt: 'meanwhile' })
    } while (cursor)
    expect(seen).toEqual(created.toReversed())
  })

  it('finds words of title and prompt, and accepts any search text', async () => {
    const eve = await createActor(house)
    const task = await eve.caller().tasks.create({ prompt: 'refactor the payment service', title: 'Billing' })
    await eve.caller().tasks.create({ prompt: 'something else' })
    const found = async (search: string) =>
      (await eve.caller().tasks.list({ search })).items.map(({ id }) => id)
    expect(await found('payment billing')).toEqual([task.id])
    expect(await found('"payment service" -billing')).toEqual([])
    expect(await found(`') or true --`)).toEqual([])
    expect(await found('  ')).toHaveLength(2)
  })

  it('filters by status, and shows removed tasks only when asked', async () => {
    const eve = await createActor(house)
    const kept = await eve.caller().tasks.create({ prompt: 'kept' })
    const removed = await eve.caller().tasks.create({ prompt: 'removed' })
    await eve.caller().tasks.stop({ id: kept.id })
    await eve.caller().tasks.remove({ id: removed.id })
    const list = async (input: Parameters<ReturnType<Actor['caller']>['tasks']['list']>[0]) =>
      (await eve.caller().tasks.list(input)).items.map(({ id }) => id)
    expect(await list({})).toEqual([kept.id])
    expect(await list({ status: 'stopped' })).toEqual([kept.id])
    expect(await list({ deleted: 'only' })).toEqual([removed.id])
    expect(await list({ deleted: 'include' })).toEqual([removed.id, kept.id])
  })

  it('rejects a cursor that no page returned, and a limit above the maximum', async () => {
    expect(await reasonOf(ada.caller().tasks.list({ cursor: 'nonsense' }))).toBe('BAD_REQUEST')
    expect(await reasonOf(ada.caller().tasks.list({ limit: 101 }))).toBe('BAD_REQUEST')
  })
})

describe('changing tasks', () => {
  it('changes the given fields only', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x', title: 'before' })
    const pullRequest = { url: 'https://example.com/pull/7', number: 7, status: 'open' as const }
    const changed = await ada.caller().tasks.update({ id: task.id, progress: 40, pullRequest })
    expect(changed).toMatchObject({
      title: 'before',
      progress: 40,
      pullRequest: { ...pullRequest, mergeCommitSha: null },
    })
    expect(changed.updatedAt.getTime()).toBeGreaterThanOrEqual(task.updatedAt.getTime())
    expect(await ada.caller().tasks.update({ id: task.id })).toEqual(changed)
  })

  it('is rejected for a stranger and for a removed task, and changes nothing', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x', title: 'before' })
    expect(await reasonOf(bob.caller().tasks.update({ id: task.id, title: 'after' }))).toBe('not_found')
    expect((await ada.caller().tasks.get({ id: task.id })).title).toBe('before')
    await ada.caller().tasks.remove({ id: task.id })
    expect(await reasonOf(ada.caller().tasks.update({ id: task.id, title: 'after' }))).toBe('not_found')
  })

  it.each([
    ['stop', 'completed'],
    ['stop', 'stopped'],
    ['retry', 'pending'],
    ['retry', 'completed'],
    ['remove', 'processing'],
    ['restore', 'pending'],
    ['restore', 'processing'],
  ] as const)('rejects %s for a task that is %s, and names the status', async (action, status) => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    await setStatus(task.id, status)
    const call = ada.caller().tasks[action]({ id: task.id })
    await expect(call).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining(status) })
    expect(await reasonOf(ada.caller().tasks[action]({ id: task.id }))).toBe('illegal_transition')
  })

  it('stops a task once, even if many callers ask at the same time', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const calls = await Promise.allSettled(
      Array.from({ length: 8 }, () => ada.caller().tasks.stop({ id: task.id })),
    )
    expect(calls.filter(call => call.status === 'fulfilled')).toHaveLength(1)
  })

  it('restores a removed task unchanged, with its logs', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    await ada.caller().tasks.logs.append({ taskId: task.id, entries: [{ type: 'info', message: 'hello' }] })
    await ada.caller().tasks.remove({ id: task.id })
    expect(await reasonOf(ada.caller().tasks.get({ id: task.id }))).toBe('not_found')
    expect(await reasonOf(ada.caller().tasks.logs.list({ taskId: task.id }))).toBe('not_found')
    expect(await reasonOf(ada.caller().tasks.remove({ id: task.id }))).toBe('not_found')

    const restored = await ada.caller().tasks.restore({ id: task.id })
    expect(restored).toMatchObject({ id: task.id, status: 'pending', deletedAt: null })
    expect((await ada.caller().tasks.logs.list({ taskId: task.id })).items).toHaveLength(1)
    expect(await reasonOf(ada.caller().tasks.restore({ id: task.id }))).toBe('illegal_transition')
  })

  it('makes a failed task pending again, and its logs continue with the next number', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    await ada.caller().tasks.logs.append({ taskId: task.id, entries: [{ type: 'error', message: 'failed' }] })
    await setStatus(task.id, 'error')
    expect(await ada.caller().tasks.retry({ id: task.id })).toMatchObject({ status: 'pending', error: null })
    const { lastSeq } = await ada
      .caller()
      .tasks.logs.append({ taskId: task.id, entries: [{ type: 'info', message: 'again' }] })
    expect(lastSeq).toBe(2)
  })
})

describe('API tokens', () => {
  it('need tasks:read to read, and tasks:write to write, which also reads', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const reader = await createApiToken(ada, { scopes: ['tasks:read'] })
    const writer = await createApiToken(ada, { scopes: ['tasks:write'] })
    const other = await createApiToken(ada, { scopes: ['settings:write'] })
    expect((await reader.caller().tasks.get({ id: task.id })).id).toBe(task.id)
    expect((await writer.caller().tasks.get({ id: task.id })).id).toBe(task.id)
    expect(await reasonOf(reader.caller().tasks.create({ prompt: 'x' }))).toBe('missing_scope')
    expect(await reasonOf(other.caller().tasks.get({ id: task.id }))).toBe('missing_scope')
  })
})
