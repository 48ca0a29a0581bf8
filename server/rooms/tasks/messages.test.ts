import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '#server/rpc/errors.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { MAX_MESSAGE_LENGTH } from './messages.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

const MISSING = '01990000-0000-7000-8000-000000000000'

async function started() {
  const { tasks } = ada.caller()
  const { messages } = tasks
  const { id: taskId } = await tasks.create({ prompt: 'x' })
  const { id } = await messages.start({ taskId })
  const append = (offset: number, delta: string) => messages.append({ id, offset, delta })
  const message = async () => (await messages.list({ taskId })).items.find(item => item.id === id)
  return { taskId, id, messages, append, message }
}

/** The length that an append's refusal names. */
async function lengthIn(call: Promise<unknown>): Promise<number | undefined> {
  const error = await call.then(
    () => undefined,
    (thrown: { cause?: unknown }) => thrown.cause,
  )
  return error instanceof AppError ? error.details.length : undefined
}

/** The stored numbers and kinds of the task's message events. */
async function eventsOf(taskId: string): Promise<[number, string][]> {
  const { rows } = await house.owner.query<{ seq: number; kind: string }>(
    'select seq, kind from app.task_events where task_id = $1 order by seq',
    [taskId],
  )
  return rows.map(({ seq, kind }) => [seq, kind])
}

describe('an agent’s message', () => {
  it('starts empty, shows its deltas so far, and is then completed', async () => {
    const { taskId, id, messages, append, message } = await started()
    expect(await message()).toMatchObject({ role: 'agent', status: 'streaming', content: '' })
    expect(await append(0, 'Hello')).toEqual({ length: 5 })
    expect(await append(5, ', world')).toEqual({ length: 12 })
    expect(await message()).toMatchObject({ status: 'streaming', content: 'Hello, world' })
    await messages.finish({ id })
    expect(await message()).toMatchObject({ status: 'complete', content: 'Hello, world' })
    expect(await eventsOf(taskId)).toEqual([
      [1, 'message'],
      [2, 'delta'],
      [3, 'delta'],
      [4, 'finished'],
    ])
  })

  it('counts its length in UTF-16 code units, as JavaScript does', async () => {
    const { append, messages, id, message } = await started()
    const parts = ['é', '😀', 'e\u0301', '👩‍👩‍👧', '漢字', '\n']
    let text = ''
    for (const part of parts) {
      expect(await append(text.length, part)).toEqual({ length: text.length + part.length })
      text += part
    }
    await messages.finish({ id })
    expect(await message()).toMatchObject({ content: text })
  })

  it('rejects half of a surrogate pair', async () => {
    const { append, message } = await started()
    expect(await refusalOf(append(0, '\ud83d'))).toMatchObject({ code: 'BAD_REQUEST' })
    expect(await refusalOf(append(0, '\ude00'))).toMatchObject({ code: 'BAD_REQUEST' })
    expect(await message()).toMatchObject({ content: '' })
  })

  it('ignores a delta that an earlier attempt wrote', async () => {
    const { taskId, append, message } = await started()
    await append(0, 'one ')
    await append(4, 'two')
    expect(await append(0, 'one ')).toEqual({ length: 7 })
    expect(await append(4, 'two')).toEqual({ length: 7 })
    expect(await append(7, '')).toEqual({ length: 7 })
    expect(await message()).toMatchObject({ content: 'one two' })
    expect(await eventsOf(taskId)).toHaveLength(3)
  })

  it.each([
    ['after its end', 8, 'x'],
    ['across its end', 5, 'xxx'],
  ])('rejects a delta %s, with its own length', async (_, offset, delta) => {
    const { append } = await started()
    await append(0, '1234567')
    const refused = append(offset, delta)
    expect(await refusalOf(refused)).toMatchObject({ code: 'CONFLICT', reason: 'offset_conflict' })
    expect((await refusalOf(refused)).message).toContain('7')
    expect(await lengthIn(refused)).toBe(7)
  })

  it('rejects changes once it is complete', async () => {
    const { id, messages, append } = await started()
    await append(0, 'done')
    await messages.finish({ id })
    const refusal = { code: 'CONFLICT', reason: 'illegal_transition' }
    expect(await refusalOf(append(4, 'x'))).toMatchObject(refusal)
    expect(await refusalOf(messages.finish({ id }))).toMatchObject(refusal)
  })

  it('has a maximum total length', async () => {
    const { id, append } = await started()
    await house.owner.query('update app.task_messages set length = $2 where id = $1', [
      id,
      MAX_MESSAGE_LENGTH - 1,
    ])
    expect(await refusalOf(append(MAX_MESSAGE_LENGTH - 1, 'xx'))).toMatchObject({ reason: 'too_large' })
    expect(await append(MAX_MESSAGE_LENGTH - 1, 'x')).toEqual({ length: MAX_MESSAGE_LENGTH })
  })

  it('is written once, even if many callers send the same deltas in any order', async () => {
    const { taskId, id, messages, append, message } = await started()
    const deltas = Array.from({ length: 30 }, (_, n) => `${n} `)
    const write = async () => {
      let offset = 0
      for (const delta of deltas) {
        await append(offset, delta)
        offset += delta.length
      }
    }
    await Promise.all([write(), write(), write(), write()])
    await messages.finish({ id })
    expect(await message()).toMatchObject({ content: deltas.join('') })
    const events = await eventsOf(taskId)
    expect(events.map(([seq]) => seq)).toEqual(Array.from({ length: 32 }, (_, n) => n + 1))
  })

  it('keeps every acknowledged delta, even if it is completed at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      const { id, messages, append, message } = await started()
      await append(0, 'a')
      const [, appended] = await Promise.all([messages.finish({ id }), append(1, 'b').catch(() => null)])
      expect(await message()).toMatchObject({ status: 'complete', content: appended ? 'ab' : 'a' })
    }
  })

  it('does not exist for strangers, and a user’s message cannot be appended to', async () => {
    const { taskId, id, messages } = await started()
    const stranger = (await createActor(house)).caller().tasks.messages
    const refusals = [
      stranger.append({ id, offset: 0, delta: 'x' }),
      stranger.finish({ id }),
      stranger.start({ taskId }),
      messages.append({ id: MISSING, offset: 0, delta: 'x' }),
    ].map(call => refusalOf(call))
    for (const refusal of await Promise.all(refusals)) expect(refusal).toMatchObject({ code: 'NOT_FOUND' })
    const own = await messages.send({ taskId, content: 'mine' })
    expect(await refusalOf(messages.append({ id: own.id, offset: 4, delta: 'x' }))).toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('under a lease', () => {
  it('a worker writes messages of its own task only', async () => {
    const owner = await createActor(house)
    const { id } = await owner.caller().tasks.create({ prompt: 'x' })
    const token = await createApiToken(owner, { scopes: ['tasks:work'] })
    const claim = await token.caller().tasks.claim({ worker: 'w' })
    const worker = anonymous(house, { authorization: `Bearer ${claim?.lease}` }).tasks
    const message = await worker.messages.start({ taskId: id })
    expect(await worker.messages.append({ id: message.id, offset: 0, delta: 'hi' })).toEqual({ length: 2 })
    const other = await owner.caller().tasks.create({ prompt: 'y' })
    const foreign = await owner.caller().tasks.messages.start({ taskId: other.id })
    expect(await refusalOf(worker.messages.append({ id: foreign.id, offset: 0, delta: 'x' }))).toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(await refusalOf(worker.messages.start({ taskId: other.id }))).toMatchObject({ code: 'NOT_FOUND' })
    await worker.complete({})
    const { items } = await owner.caller().tasks.messages.list({ taskId: id })
    expect(items).toMatchObject([{ status: 'failed', content: 'hi' }])
    expect(await eventsOf(id)).toEqual([
      [1, 'message'],
      [2, 'delta'],
      [3, 'finished'],
    ])
  })

  const deletions: [title: string, sql: string][] = [
    ['a token that is deleted', 'delete from app.api_tokens where user_id = $1'],
    ['a session that is revoked', 'delete from auth.sessions where user_id = $1'],
  ]

  it.for(deletions)('claimed with %s, a streaming message fails', async ([, deletion]) => {
    const owner = await createActor(house)
    const { id } = await owner.caller().tasks.create({ prompt: 'x' })
    const token = await createApiToken(owner, { scopes: ['tasks:work'] })
    const claimant = deletion.includes('sessions') ? owner : token
    const claim = await claimant.caller().tasks.claim({ worker: 'w' })
    const worker = anonymous(house, { authorization: `Bearer ${claim?.lease}` }).tasks
    const message = await worker.messages.start({ taskId: id })
    await worker.messages.append({ id: message.id, offset: 0, delta: 'hi' })
    await house.owner.query(deletion, [owner.userId])
    expect(await refusalOf(worker.heartbeat())).toMatchObject({ code: 'CONFLICT' })
    const { rows } = await house.owner.query('select status, content from app.task_messages where id = $1', [
      message.id,
    ])
    expect(rows).toEqual([{ status: 'failed', content: 'hi' }])
  })
})
