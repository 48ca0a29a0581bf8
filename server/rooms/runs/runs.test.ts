import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { callerUnder, createClaimedTask, lapseLease, whileTaskChangesHands } from '#server/testing/claims.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import type { FinishRun, StartRun } from './schema.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

const agent = 'claude'

describe('a run', () => {
  it('starts running, with or without a task', async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const runs = ada.caller().runs
    const started = await runs.start({
      taskId,
      agent,
      model: 'opus',
      provider: 'anthropic',
      input: { a: [1] },
    })
    expect(started).toMatchObject({
      taskId,
      agent,
      model: 'opus',
      provider: 'anthropic',
      status: 'running',
      input: { a: [1] },
      output: null,
      usage: null,
      error: null,
      startedAt: expect.any(Date),
      finishedAt: null,
    })
    expect(await runs.get({ id: started.id })).toEqual(started)
    expect(await runs.start({ agent })).toMatchObject({ taskId: null, model: null, input: null })
  })

  it('ends with its output, usage and cost', async () => {
    const runs = ada.caller().runs
    const { id } = await runs.start({ agent })
    const usage = { inputTokens: 1200, outputTokens: 80, cachedTokens: 1000, costUsd: 0.0123 }
    const ended = await runs.finish({ id, status: 'completed', output: { text: 'done' }, usage })
    expect(ended).toMatchObject({ status: 'completed', output: { text: 'done' }, usage, error: null })
    expect(ended.finishedAt).toBeInstanceOf(Date)
    expect(await runs.get({ id })).toEqual(ended)
  })

  it.each(['failed', 'cancelled'] as const)('ends as %s with an error, and ends once', async status => {
    const runs = ada.caller().runs
    const { id } = await runs.start({ agent })
    expect(await runs.finish({ id, status, error: 'out of money' })).toMatchObject({
      status,
      error: 'out of money',
    })
    const refusal = await refusalOf(runs.finish({ id, status: 'completed' }))
    expect(refusal).toMatchObject({ code: 'CONFLICT', reason: 'illegal_transition' })
    expect(refusal.message).toContain(`is ${status}`)
  })

  it('is ended by one of many concurrent callers', async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const { id } = await ada.caller().runs.start({ agent, taskId })
    const results = await Promise.allSettled(
      Array.from({ length: 12 }, () => ada.caller().runs.finish({ id, status: 'completed' })),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('is not found by a stranger, who cannot end it', async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const { id } = await ada.caller().runs.start({ agent, taskId })
    const runs = bob.caller().runs
    const missing = await refusalOf(runs.get({ id: randomUUID() }))
    expect(await refusalOf(runs.get({ id }))).toEqual(missing)
    expect(await refusalOf(runs.finish({ id, status: 'failed' }))).toEqual(missing)
    expect(await reasonOf(runs.start({ agent, taskId }))).toBe('not_found')
    expect(await reasonOf(runs.list({ taskId }))).toBe('not_found')
    expect(await runs.list()).toEqual({ items: [], nextCursor: null })
    expect(await ada.caller().runs.get({ id })).toMatchObject({ status: 'running' })
  })

  it('is hidden and restored with its task', async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const { runs, tasks } = ada.caller()
    const { id } = await runs.start({ agent, taskId })
    await tasks.remove({ id: taskId })
    expect(await reasonOf(runs.get({ id }))).toBe('not_found')
    expect(await reasonOf(runs.finish({ id, status: 'failed' }))).toBe('not_found')
    expect(await reasonOf(runs.list({ taskId }))).toBe('not_found')
    expect(await reasonOf(runs.start({ agent, taskId }))).toBe('not_found')
    expect((await runs.list({ limit: 100 })).items.map(run => run.id)).not.toContain(id)
    await tasks.restore({ id: taskId })
    expect((await runs.list({ taskId })).items.map(run => run.id)).toEqual([id])
  })

  it.each([
    ['no agent', { agent: ' ' }],
    ['NUL', { agent: 'a\0' }],
    ['another owner', { agent, userId: randomUUID() }],
    ['a status', { agent, status: 'completed' }],
    ['an invalid task id', { agent, taskId: 'x' }],
    ['an input with NUL', { agent, input: { a: 'x\0' } }],
    ['an input that is too large', { agent, input: 'x'.repeat(256 * 1024) }],
    ['an input with a reserved property name', { agent, input: { constructor: 1 } }],
  ])('cannot be started with %s', async (_, input) => {
    expect(await reasonOf(ada.caller().runs.start(input as StartRun))).toBe('BAD_REQUEST')
  })

  it.each([
    ['a status that is not final', { status: 'waiting' }],
    ['negative tokens', { status: 'completed', usage: { inputTokens: -1 } }],
    ['a fractional number of tokens', { status: 'completed', usage: { outputTokens: 0.5 } }],
    ['unknown usage', { status: 'completed', usage: { tokens: 1 } }],
    ['infinite cost', { status: 'completed', usage: { costUsd: Number.POSITIVE_INFINITY } }],
  ])('cannot be ended with %s', async (_, input) => {
    const { id } = await ada.caller().runs.start({ agent })
    expect(await reasonOf(ada.caller().runs.finish({ id, ...input } as FinishRun))).toBe('BAD_REQUEST')
  })
})

describe('the list of runs', () => {
  it('is sorted newest first, paged, and filtered by task and by status', async () => {
    const owner = await createActor(house)
    const { id: taskId } = await owner.caller().tasks.create({ prompt: 'x' })
    const runs = owner.caller().runs
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.unshift((await runs.start(n % 2 ? { agent, taskId } : { agent })).id)
    await runs.finish({ id: ids[0] ?? '', status: 'failed' })
    const first = await runs.list({ limit: 3 })
    const second = await runs.list({ limit: 3, cursor: first.nextCursor ?? undefined })
    expect([...first.items, ...second.items].map(run => run.id)).toEqual(ids)
    expect(second.nextCursor).toBeNull()
    expect((await runs.list({ taskId })).items.map(run => run.id)).toEqual([ids[1], ids[3]])
    expect((await runs.list({ status: 'failed' })).items.map(run => run.id)).toEqual([ids[0]])
    expect((await runs.list({ taskId, status: 'failed' })).items).toEqual([])
  })
})

describe('a token', () => {
  it('with runs:read can read runs and not write them', async () => {
    const reader = (await createApiToken(ada, { scopes: ['runs:read'] })).caller().runs
    const { id } = await ada.caller().runs.start({ agent })
    expect(await reader.get({ id })).toMatchObject({ id })
    expect(await reasonOf(reader.start({ agent }))).toBe('missing_scope')
    expect(await reasonOf(reader.finish({ id, status: 'failed' }))).toBe('missing_scope')
  })

  it('with runs:write can do both, and with another scope neither', async () => {
    const writer = (await createApiToken(ada, { scopes: ['runs:write'] })).caller().runs
    const { id } = await writer.start({ agent })
    expect(await writer.get({ id })).toMatchObject({ id })
    const other = (await createApiToken(ada, { scopes: ['tasks:write'] })).caller().runs
    expect(await reasonOf(other.get({ id }))).toBe('missing_scope')
    expect(await reasonOf(other.start({ agent }))).toBe('missing_scope')
    expect(await reasonOf(anonymous(house).runs.get({ id }))).toBe('unauthenticated')
  })

  it('that was revoked is rejected by the next call', async () => {
    const token = await createApiToken(ada, { scopes: ['runs:write'] })
    const { id } = await token.caller().runs.start({ agent })
    await ada.caller().apiTokens.revoke({ id: token.id })
    expect(await reasonOf(token.caller().runs.finish({ id, status: 'completed' }))).toBe('unauthenticated')
  })
})

describe('a lease', () => {
  it('can start and end runs of its task, given or not, as the owner', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const run = await worker.runs.start({ agent })
    expect(run.taskId).toBe(taskId)
    expect((await worker.runs.start({ agent, taskId })).taskId).toBe(taskId)
    await worker.runs.finish({ id: run.id, status: 'completed' })
    expect(await owner.caller().runs.get({ id: run.id })).toMatchObject({ status: 'completed' })
    expect((await worker.runs.list()).items).toHaveLength(2)
  })

  it('can see and end the runs of its own task only', async () => {
    const { owner, worker } = await createClaimedTask(house)
    const { id: taskId } = await owner.caller().tasks.create({ prompt: 'other' })
    const others = [
      await owner.caller().runs.start({ agent }),
      await owner.caller().runs.start({ agent, taskId }),
      await ada.caller().runs.start({ agent }),
    ]
    for (const { id } of others) {
      expect(await reasonOf(worker.runs.get({ id }))).toBe('not_found')
      expect(await reasonOf(worker.runs.finish({ id, status: 'failed' }))).toBe('not_found')
    }
    expect(await reasonOf(worker.runs.start({ agent, taskId }))).toBe('not_found')
    expect(await reasonOf(worker.runs.list({ taskId }))).toBe('not_found')
    expect((await worker.runs.list()).items).toEqual([])
  })

  it('that was lost cannot start or end a run', async () => {
    const { id: taskId, token, worker } = await createClaimedTask(house)
    const { id } = await worker.runs.start({ agent })
    await lapseLease(house, taskId)
    const second = await token.caller().tasks.claim({ worker: 'w2' })
    expect(await reasonOf(worker.runs.start({ agent }))).toBe('lease_lost')
    expect(await reasonOf(worker.runs.finish({ id, status: 'completed' }))).toBe('lease_lost')
    const successor = callerUnder(house, second?.lease ?? '')
    expect(await successor.runs.finish({ id, status: 'failed' })).toMatchObject({ status: 'failed' })
  })

  it('writes nothing if another worker claimed the task while the statement waited', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const { id } = await worker.runs.start({ agent })
    const start = whileTaskChangesHands(house, taskId, () => worker.runs.start({ agent }))
    expect(await reasonOf(start)).toBe('not_found')
    expect((await owner.caller().runs.list({ taskId })).items.map(run => run.id)).toEqual([id])
  })

  it('ends no run if another worker claimed the task while the statement waited', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const { id } = await worker.runs.start({ agent })
    const finish = whileTaskChangesHands(house, taskId, () => worker.runs.finish({ id, status: 'completed' }))
    expect(await reasonOf(finish)).toBe('lease_lost')
    expect(await owner.caller().runs.get({ id })).toMatchObject({ status: 'running' })
  })
})
