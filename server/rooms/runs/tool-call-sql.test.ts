import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { sessionCredential } from '#server/testing/isolation/dataset.ts'
import type { StartToolCall } from './schema.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

const read = { callId: 'call-1', tool: 'read_file', arguments: { path: 'README.md' } }
const command = { callId: 'call-2', tool: 'run_command', arguments: { command: ['rm', '-r', 'dist'] } }

async function startRun(): Promise<string> {
  return (await ada.caller().runs.start({ agent: 'claude' })).id
}

describe('SQL as the API’s login, with the owner’s own credential,', () => {
  let client: pg.Client

  beforeAll(async () => {
    client = new pg.Client(house.database.directUrls.api)
    client.on('error', () => {})
    await client.connect()
    await client.query(`select set_config('app.credential', $1, false)`, [sessionCredential(ada)])
  })
  afterAll(() => client.end())

  async function callOf(call: Omit<StartToolCall, 'runId'>): Promise<string> {
    const { runs } = ada.caller()
    return (await runs.toolCalls.start({ runId: await startRun(), ...call })).id
  }

  it.each([
    ['starts an awaiting call', `set status = 'running'`],
    ['ends an awaiting call', `set status = 'succeeded'`],
    ['denies an awaiting call', `set status = 'denied'`],
    ['resets an awaiting call', `set status = 'pending'`],
    ['sets a result of an awaiting call', `set result = '1'`],
  ])('never %s', async (_, change) => {
    const id = await callOf(command)
    await expect(client.query(`update app.tool_calls ${change} where id = $1`, [id])).rejects.toMatchObject({
      code: '23514',
      constraint: 'tool_calls_transition_check',
    })
    const { rows } = await house.owner.query('select status, result from app.tool_calls where id = $1', [id])
    expect(rows).toEqual([{ status: 'awaiting_approval', result: null }])
  })

  it('cannot start a pending call', async () => {
    const id = await callOf(read)
    await house.owner.query(`update app.tool_calls set status = 'pending' where id = $1`, [id])
    await expect(
      client.query(`update app.tool_calls set status = 'running' where id = $1`, [id]),
    ).rejects.toMatchObject({ code: '23514' })
  })

  it('cannot reopen an ended call, or change its result', async () => {
    const id = await callOf(read)
    await client.query(`update app.tool_calls set status = 'succeeded', result = '1' where id = $1`, [id])
    for (const change of [`status = 'running'`, `status = 'failed'`, `result = '2'`]) {
      await expect(
        client.query(`update app.tool_calls set ${change} where id = $1`, [id]),
      ).rejects.toMatchObject({ code: '23514' })
    }
  })

  it.each(['arguments', 'arguments_hash', 'tool', 'run_id', 'call_id', 'user_id', 'started_at'])(
    'cannot change %s',
    async column => {
      const id = await callOf(command)
      await expect(
        client.query(`update app.tool_calls set ${column} = ${column} where id = $1`, [id]),
      ).rejects.toMatchObject({ code: '42501' })
    },
  )

  it('cannot set the status of a new call, and so cannot skip its approval', async () => {
    const runId = await startRun()
    const values = [runId, command.tool, command.arguments]
    await expect(
      client.query(
        `insert into app.tool_calls (run_id, call_id, tool, arguments, arguments_hash, status)
         values ($1, 'c', $2, $3, sha256(''), 'running')`,
        values,
      ),
    ).rejects.toMatchObject({ code: '42501' })
    const { rows } = await client.query(
      `insert into app.tool_calls (run_id, call_id, tool, arguments, arguments_hash)
       values ($1, 'c', $2, $3, sha256('')) returning status`,
      values,
    )
    expect(rows).toEqual([{ status: 'awaiting_approval' }])
  })

  it('cannot change the catalogue', async () => {
    await expect(client.query('update app.tools set requires_approval = false')).rejects.toMatchObject({
      code: '42501',
    })
  })
})

it('can start a call only through a function of the owner, as decisions do', async () => {
  const { runs } = ada.caller()
  const call = await runs.toolCalls.start({ runId: await startRun(), ...command })
  await house.owner.query(
    `create function app.approve_for_test(p_id uuid) returns void
     language sql security definer set search_path = pg_catalog, pg_temp
     as $$ update app.tool_calls set status = 'running', started_at = now() where id = p_id $$;
     grant execute on function app.approve_for_test(uuid) to rowhouse_api`,
  )
  const client = new pg.Client(house.database.directUrls.api)
  await client.connect()
  try {
    await client.query('select app.approve_for_test($1)', [call.id])
  } finally {
    await client.end()
    await house.owner.query('drop function app.approve_for_test(uuid)')
  }
  expect(await runs.toolCalls.finish({ id: call.id, status: 'succeeded' })).toMatchObject({
    status: 'succeeded',
  })
})
