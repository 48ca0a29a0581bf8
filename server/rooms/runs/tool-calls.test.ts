import { hash, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { createClaimedTask, lapseLease, whileTaskChangesHands } from '#server/testing/claims.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import type { StartToolCall } from './schema.ts'

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
const read = { callId: 'call-1', tool: 'read_file', arguments: { path: 'README.md' } }
const command = { callId: 'call-2', tool: 'run_command', arguments: { command: ['rm', '-r', 'dist'] } }

async function startRun(): Promise<string> {
  return (await ada.caller().runs.start({ agent })).id
}

describe('a tool call', () => {
  it('runs at once if its tool requires no approval', async () => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    const call = await calls.start({ runId, ...read })
    expect(call).toMatchObject({
      runId,
      ...read,
      argumentsHash: hash('sha256', '{"path":"README.md"}'),
      status: 'running',
      startedAt: expect.any(Date),
      result: null,
      error: null,
      finishedAt: null,
    })
    const ended = await calls.finish({ id: call.id, status: 'succeeded', result: { text: '# Rowhouse' } })
    expect(ended).toMatchObject({ status: 'succeeded', result: { text: '# Rowhouse' } })
    expect(ended.finishedAt).toBeInstanceOf(Date)
    expect((await calls.list({ runId })).items).toEqual([ended])
  })

  it('of a tool that is not in the catalogue runs, too', async () => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    const call = await calls.start({ runId, callId: 'c', tool: 'mcp__docs__Search.v2', arguments: {} })
    expect(call.status).toBe('running')
    expect(await calls.finish({ id: call.id, status: 'failed', error: 'offline' })).toMatchObject({
      status: 'failed',
      error: 'offline',
    })
  })

  it.each(['run_command', 'Run_Command'])('of %s awaits approval, and cannot end before', async tool => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    const { id, status, startedAt } = await calls.start({ runId, ...command, tool })
    expect({ status, startedAt }).toEqual({ status: 'awaiting_approval', startedAt: null })
    for (const end of ['succeeded', 'failed'] as const) {
      const refusal = await refusalOf(calls.finish({ id, status: end, result: 'sneaked in' }))
      expect(refusal).toMatchObject({ code: 'CONFLICT', reason: 'illegal_transition' })
      expect(refusal.message).toContain('is awaiting_approval')
    }
    expect((await calls.list({ runId })).items).toMatchObject([{ status: 'awaiting_approval', result: null }])
  })

  it('awaits approval even if the operator disabled its tool', async () => {
    const other = await openHouse()
    try {
      await other.owner.query(`update app.tools set is_enabled = false where slug = 'run_command'`)
      const { runs } = (await createActor(other)).caller()
      const { id: runId } = await runs.start({ agent })
      expect(await runs.toolCalls.start({ runId, ...command })).toMatchObject({ status: 'awaiting_approval' })
    } finally {
      await other.close()
    }
  })

  it('ends once, even for many concurrent callers', async () => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    const { id } = await calls.start({ runId, ...read })
    const ends = Array.from({ length: 10 }, (_, n) =>
      calls.finish({ id, status: n % 2 ? 'succeeded' : 'failed', result: n }),
    )
    const results = await Promise.allSettled(ends)
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await reasonOf(calls.finish({ id, status: 'failed' }))).toBe('illegal_transition')
  })

  it('that is sent again returns the existing call, whatever the order of its arguments', async () => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    const call = { runId, callId: 'c', tool: 'search_files' }
    const first = await calls.start({ ...call, arguments: { pattern: 'x', maxResults: 10 } })
    expect(await calls.start({ ...call, arguments: { maxResults: 1e1, pattern: 'x' } })).toEqual(first)
    await calls.finish({ id: first.id, status: 'succeeded' })
    expect(await calls.start({ ...call, arguments: { pattern: 'x', maxResults: 10 } })).toMatchObject({
      id: first.id,
      status: 'succeeded',
    })
  })

  it('cannot have the id of another call of its run', async () => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    await calls.start({ runId, ...read })
    for (const other of [
      { ...read, arguments: { path: '.env' } },
      { ...read, tool: 'list_directory' },
    ]) {
      expect(await refusalOf(calls.start({ runId, ...other }))).toMatchObject({
        code: 'CONFLICT',
        reason: 'unique_violation',
      })
    }
    expect(await calls.start({ runId: await startRun(), ...read })).toMatchObject({ status: 'running' })
  })

  it('is recorded once, even for many concurrent callers', async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const { id: runId } = await ada.caller().runs.start({ agent, taskId })
    const calls = ada.caller().runs.toolCalls
    const sent = await Promise.all(Array.from({ length: 10 }, () => calls.start({ runId, ...command })))
    expect(new Set(sent.map(call => call.id)).size).toBe(1)
  })

  it('cannot start in a run that has ended, but running ones may end', async () => {
    const runId = await startRun()
    const { runs } = ada.caller()
    const call = await runs.toolCalls.start({ runId, ...read })
    await runs.finish({ id: runId, status: 'completed' })
    const refusal = await refusalOf(runs.toolCalls.start({ runId, ...command }))
    expect(refusal.reason).toBe('illegal_transition')
    expect(refusal.message).toContain('is completed')
    expect(await runs.toolCalls.finish({ id: call.id, status: 'succeeded' })).toMatchObject({
      status: 'succeeded',
    })
  })

  it('is listed oldest first, in pages', async () => {
    const runId = await startRun()
    const calls = ada.caller().runs.toolCalls
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push((await calls.start({ runId, ...read, callId: `c${n}` })).id)
    const first = await calls.list({ runId, limit: 3 })
    const second = await calls.list({ runId, limit: 3, cursor: first.nextCursor ?? undefined })
    expect([...first.items, ...second.items].map(call => call.id)).toEqual(ids)
    expect(second.nextCursor).toBeNull()
    expect(await calls.list({ runId: await startRun() })).toEqual({ items: [], nextCursor: null })
  })

  it('is not found by a stranger, nor is its run', async () => {
    const runId = await startRun()
    const { id } = await ada.caller().runs.toolCalls.start({ runId, ...read })
    const calls = bob.caller().runs.toolCalls
    expect(await refusalOf(calls.finish({ id, status: 'failed' }))).toEqual(
      await refusalOf(calls.finish({ id: randomUUID(), status: 'failed' })),
    )
    expect(await refusalOf(calls.start({ runId, ...read }))).toEqual(
      await refusalOf(calls.start({ runId: randomUUID(), ...read })),
    )
    expect(await reasonOf(calls.list({ runId }))).toBe('not_found')
    expect((await ada.caller().runs.toolCalls.list({ runId })).items).toMatchObject([{ status: 'running' }])
  })

  it('is hidden with its task', async () => {
    const { runs, tasks } = ada.caller()
    const { id: taskId } = await tasks.create({ prompt: 'x' })
    const { id: runId } = await runs.start({ agent, taskId })
    const { id } = await runs.toolCalls.start({ runId, ...read })
    await tasks.remove({ id: taskId })
    expect(await reasonOf(runs.toolCalls.list({ runId }))).toBe('not_found')
    expect(await reasonOf(runs.toolCalls.finish({ id, status: 'failed' }))).toBe('not_found')
    expect(await reasonOf(runs.toolCalls.start({ runId, ...read }))).toBe('not_found')
  })

  it('requires runs:read to read, and runs:write to write', async () => {
    const runId = await startRun()
    const reader = (await createApiToken(ada, { scopes: ['runs:read'] })).caller().runs.toolCalls
    const other = (await createApiToken(ada, { scopes: ['tools:write'] })).caller().runs.toolCalls
    const { id } = await ada.caller().runs.toolCalls.start({ runId, ...read })
    expect((await reader.list({ runId })).items).toHaveLength(1)
    expect(await reasonOf(reader.start({ runId, ...read }))).toBe('missing_scope')
    expect(await reasonOf(reader.finish({ id, status: 'failed' }))).toBe('missing_scope')
    expect(await reasonOf(other.list({ runId }))).toBe('missing_scope')
    expect(await reasonOf(anonymous(house).runs.toolCalls.list({ runId }))).toBe('unauthenticated')
  })

  it.each([
    ['no call id', { callId: '' }],
    ['an invalid tool name', { tool: 'rm -rf' }],
    ['a status', { status: 'running' }],
    ['arguments that are not an object', { arguments: ['x'] }],
    ['no arguments', { arguments: undefined }],
    ['arguments with a lone surrogate', { arguments: { a: '\ud800' } }],
    ['arguments that are too large', { arguments: { a: 'x'.repeat(256 * 1024) } }],
    ['another owner', { userId: randomUUID() }],
  ])('cannot be started with %s', async (_, input) => {
    const call = { runId: await startRun(), ...read, ...input } as StartToolCall
    expect(await reasonOf(ada.caller().runs.toolCalls.start(call))).toBe('BAD_REQUEST')
  })
})

describe('under a lease', () => {
  it('calls of its own task’s runs can be started, ended and read', async () => {
    const { owner, worker } = await createClaimedTask(house)
    const { id: runId } = await worker.runs.start({ agent })
    const { id } = await worker.runs.toolCalls.start({ runId, ...read })
    await worker.runs.toolCalls.finish({ id, status: 'succeeded', result: 'text' })
    expect((await worker.runs.toolCalls.list({ runId })).items).toMatchObject([{ id, result: 'text' }])
    expect((await owner.caller().runs.toolCalls.list({ runId })).items).toMatchObject([{ id }])
  })

  it('calls of other runs are not found, even the owner’s', async () => {
    const { owner, worker } = await createClaimedTask(house)
    const { id: runId } = await owner.caller().runs.start({ agent })
    const { id } = await owner.caller().runs.toolCalls.start({ runId, ...read })
    const calls = worker.runs.toolCalls
    expect(await reasonOf(calls.start({ runId, ...read }))).toBe('not_found')
    expect(await reasonOf(calls.finish({ id, status: 'failed' }))).toBe('not_found')
    expect(await reasonOf(calls.list({ runId }))).toBe('not_found')
  })

  it('nothing can be written after the lease was lost', async () => {
    const { id: taskId, worker } = await createClaimedTask(house)
    const { id: runId } = await worker.runs.start({ agent })
    const { id } = await worker.runs.toolCalls.start({ runId, ...read })
    await lapseLease(house, taskId)
    expect(await reasonOf(worker.runs.toolCalls.finish({ id, status: 'succeeded' }))).toBe('lease_lost')
    expect(await reasonOf(worker.runs.toolCalls.start({ runId, ...command }))).toBe('lease_lost')
  })

  it('nothing is written if another worker claimed the task while the statement waited', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const { id: runId } = await worker.runs.start({ agent })
    const { id } = await worker.runs.toolCalls.start({ runId, ...read })
    const finish = whileTaskChangesHands(house, taskId, () =>
      worker.runs.toolCalls.finish({ id, status: 'succeeded' }),
    )
    expect(await reasonOf(finish)).toBe('lease_lost')
    expect((await owner.caller().runs.toolCalls.list({ runId })).items).toMatchObject([
      { id, status: 'running' },
    ])
  })

  it('no call starts if another worker claimed the task while the statement waited', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const { id: runId } = await worker.runs.start({ agent })
    const start = whileTaskChangesHands(house, taskId, () => worker.runs.toolCalls.start({ runId, ...read }))
    expect(await reasonOf(start)).toBe('lease_lost')
    expect((await owner.caller().runs.toolCalls.list({ runId })).items).toEqual([])
  })
})
