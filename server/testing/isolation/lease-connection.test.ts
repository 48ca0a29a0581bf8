import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createApiToken, type House, openHouse } from '../actors.ts'
import {
  createHousehold,
  type Household,
  marksOf,
  sessionCredential,
  tokenCredential,
  workIdsOf,
} from './dataset.ts'
import { createLeaseForNewTask } from './dataset-leases.ts'
import { connectAsApi, INSERTS, type LeasePrompt, openLeasePrompt } from './lease-prompt.ts'
import { sampleRows } from './probe.ts'
import { readTables, type Table } from './tables.ts'

// A worker at a prompt as the API's login, with a lease for one task and any SQL. What they can't reach is
// everything else: the rest of the same owner's, other users', and the lease itself.

let house: House
let client: pg.Client
let tables: Table[]
let owner: Household
let stranger: Household
let prompt: LeasePrompt

beforeAll(async () => {
  house = await openHouse()
  tables = await readTables(house.owner)
  owner = await createHousehold(house, 'Owner')
  stranger = await createHousehold(house, 'Stranger')
  client = await connectAsApi(house)
})

beforeEach(async () => {
  prompt = await openLeasePrompt(house, { client, tables, userId: owner.userId })
})

afterAll(async () => {
  await client.end()
  await house.close()
})

/** Functions that a worker could try. */
function callsAbout(victim: Household): string[] {
  return [
    'select app.remove_account()',
    'select app.revoke_other_sessions()',
    `select app.revoke_session('${victim.sessionId}')`,
    `select * from app.claim_task('x', 60, sha256('x'))`,
    `select app.take_quota('tasks', 100)`,
    `select app.take_quota('messages', 100)`,
    'select app.touch_credential()',
    'select * from app.extend_lease()',
    'select * from app.list_sessions()',
    'select * from app.export_account()',
    'select app.known_user_ids(), app.member_organization_ids(), app.current_organization_id()',
  ]
}

test('a lease writes its own task’s rows', async () => {
  const { run, lease, work } = prompt
  for (const answer of [
    await run(`update app.tasks set title = 'mine'`),
    await run(INSERTS.log, [lease.taskId]),
    await run(INSERTS.delta, [work.messageId]),
    await run(INSERTS.event, [lease.taskId, work.messageId]),
    await run(`update app.task_messages set content = 'x'`),
    await run(`update app.agent_runs set status = 'completed'`),
    await run(`update app.tool_calls set status = 'succeeded'`),
  ]) {
    expect(answer).toMatch(/^1:/)
  }
})

test('a lease reads nothing but its own task’s rows, and the catalogue', async () => {
  const hidden = [...workIdsOf(owner), owner.canary, owner.lease.id, ...marksOf(stranger)]
  const own = ['app.tasks', 'app.task_messages', 'app.agent_runs', 'app.tool_calls', 'app.tools']
  for (const { name, readable } of tables) {
    if (readable.length === 0) continue
    const answer = await prompt.run(`select ${readable.join(', ')} from ${name}`)
    for (const mark of hidden) expect(answer, name).not.toContain(mark)
    expect(answer === '0: []', name).toBe(!own.includes(name))
  }
  for (const sql of callsAbout(owner)) {
    const answer = await prompt.run(sql)
    for (const mark of [...hidden, ...marksOf(owner)]) expect(answer, sql).not.toContain(mark)
  }
})

test('a lease is given the secrets that its task names, sealed, and no other’s', async () => {
  const { run, lease } = prompt
  const secrets = 'select keys, connectors from app.open_task_secrets()'
  const before = await prompt.otherRows()
  expect(await run(secrets)).toBe('1: [{"keys":[],"connectors":[]}]')
  expect(await prompt.otherRows()).toEqual(before)
  for (const sql of [
    `insert into app.task_keys (task_id, provider) values ($1, 'anthropic')`,
    `insert into app.task_connectors (task_id, connector_id) values ($1, '${owner.connectorId}')`,
  ]) {
    expect(await run(sql, [lease.taskId]), sql).toBe('42501')
  }
  const task = [owner.userId, lease.taskId]
  await house.owner.query(
    `insert into app.task_keys (user_id, task_id, provider) values ($1, $2, 'anthropic'), ($1, $2, 'openai')`,
    task,
  )
  const named = await run(secrets)
  const envelopes = (table: string, column: string) =>
    house.owner
      .query<{ value: string }>(`select ${column} as value from ${table} where user_id = $1`, [owner.userId])
      .then(({ rows }) => rows.map(({ value }) => value))
  for (const value of await envelopes('app.provider_keys', 'value')) expect(named).toContain(value)
  for (const value of await envelopes('app.connectors', 'env')) expect(named).not.toContain(value)
  expect(named).toContain('{"id":null,"value":null,"provider":"openai"}')
  for (const mark of marksOf(stranger)) expect(named).not.toContain(mark)
})

test('a lease that was claimed without keys:reveal is given no secret', async () => {
  const { id } = await createApiToken(owner, { scopes: ['tasks:work', 'keys:write'] })
  const weak = await createLeaseForNewTask(house, { userId: owner.userId, apiTokenId: id })
  expect(await prompt.run('select * from app.open_task_secrets()', [], weak.credential)).toBe('RH403')
  await house.owner.query(`update app.api_tokens set scopes = scopes || 'keys:reveal'::text where id = $1`, [
    id,
  ])
  expect(await prompt.run('select * from app.open_task_secrets()', [], weak.credential)).toMatch(/^1:/)
})

test('nobody but a lease is given secrets', async () => {
  for (const credential of [sessionCredential(owner), tokenCredential(owner.apiToken), '']) {
    expect(await prompt.run('select * from app.open_task_secrets()', [], credential)).toBe('RH409')
  }
})

test('a lease leaves all rows but its own task’s as they are', async () => {
  for (const victim of [owner, stranger]) {
    const samples = await sampleRows(house.owner, tables, marksOf(victim))
    const before = await prompt.otherRows()
    for (const { name, insertable, updatable, isDeletable } of tables) {
      const record = `jsonb_populate_record(null::${name}, $1::jsonb)`
      const sample = [samples[name]]
      const columns = insertable.join(', ')
      if (columns)
        await prompt.run(`insert into ${name} (${columns}) select ${columns} from ${record}`, sample)
      for (const column of updatable) {
        await prompt.run(`update ${name} set ${column} = (${record}).${column}`, sample)
      }
      if (isDeletable) await prompt.run(`delete from ${name}`)
    }
    for (const sql of callsAbout(victim)) await prompt.run(sql)
    expect(await prompt.otherRows()).toEqual(before)
  }
})

test('a lease hangs nothing on what is not its task’s', async () => {
  const { run, work } = prompt
  for (const victim of [owner, stranger]) {
    for (const [sql, values] of [
      [INSERTS.log, [victim.taskId]],
      [INSERTS.message, [victim.taskId]],
      [INSERTS.delta, [victim.messageId]],
      [INSERTS.event, [victim.taskId, work.messageId]],
      [INSERTS.run, [victim.taskId]],
      [INSERTS.run, [null]],
      [INSERTS.call, [victim.runId, 'x']],
      [`insert into app.tasks (title, prompt) values ('x', 'x')`, []],
      [`insert into app.user_tools (tool_id) select id from app.tools limit 1`, []],
    ] as const) {
      expect(await run(sql, [...values]), sql).toBe('42501')
    }
  }
})

test('a lease is told of another task’s message what it would be told of none', async () => {
  const { run, lease } = prompt
  for (const id of [owner.messageId, stranger.messageId, lease.taskId]) {
    expect(await run(INSERTS.event, [lease.taskId, id])).toBe('23503')
  }
})

test('a lease writes the user’s turn neither anew nor over', async () => {
  const { run, lease } = prompt
  const insert = 'insert into app.task_messages (user_id, task_id, seq, role, content, status)'
  await house.owner.query(`${insert} values ($1, $2, 5, 'user', 'theirs', 'complete')`, [
    owner.userId,
    lease.taskId,
  ])
  const { rows } = await house.owner.query(`select id from app.task_messages where content = 'theirs'`)
  expect(await run(INSERTS.userMessage, [lease.taskId])).toBe('42501')
  expect(await run(`update app.task_messages set content = 'y' where role = 'user'`)).toMatch(/^0:/)
  expect(await run(INSERTS.delta, [rows[0]?.id])).toBe('42501')
})

test('a lease neither deletes, removes nor stops its task, nor gives it or its rows away', async () => {
  const { run } = prompt
  const rows = ['logs', 'messages', 'message_deltas', 'events'].map(name => `task_${name}`)
  for (const table of ['tasks', ...rows, 'agent_runs', 'tool_calls']) {
    expect(await run(`delete from app.${table}`), table).toBe('42501')
    expect(await run(`update app.${table} set user_id = $1`, [stranger.userId]), table).toBe('42501')
  }
  for (const table of [...rows.filter(name => name !== 'task_message_deltas'), 'agent_runs']) {
    expect(await run(`update app.${table} set task_id = $1`, [owner.taskId]), table).toBe('42501')
  }
  for (const set of [
    `id = '${owner.taskId}'`,
    `organization_id = '${owner.organizationId}'`,
    'deleted_at = now(), deletion_id = app.new_id()',
    `status = 'pending'`,
    `status = 'stopped'`,
  ]) {
    expect(await run(`update app.tasks set ${set}`), set).toBe('42501')
  }
  expect(await run('update app.tool_calls set run_id = $1', [owner.runId])).toBe('42501')
})

test('a lease touches no lease but to prolong itself', async () => {
  const { run } = prompt
  const before = await prompt.otherRows()
  expect(await run('select id from app.task_leases')).toBe('0: []')
  for (const [sql, values = []] of [
    ['select credential_hash from app.task_leases'],
    [`update app.task_leases set expires_at = 'infinity'`],
    ['delete from app.task_leases'],
    ['insert into app.task_leases default values'],
    ['update app.tasks set lease_id = $1', [owner.lease.id]],
    ['select app.live_lease($1)', [owner.lease.credential]],
    [
      `select app.lease_task($1, $2, 'x', 600, $3, null, null)`,
      [owner.userId, owner.taskId, randomBytes(32)],
    ],
    ['select app.is_leased($1, $2)', [owner.userId, owner.taskId]],
    ['select * from app.sweep_leases()'],
    ['select app.sweep_sign_ins()'],
    ['select app.fold_message_deltas()'],
    [`select * from app.claim_any_task(null, 'x', 60, $1)`, [randomBytes(32)]],
    ['select * from app.check_streams($1, $2, $3)', [[owner.lease.credential], [null], [owner.taskId]]],
  ] as [string, unknown[]?][]) {
    expect(await run(sql, values), sql).toBe('42501')
  }
  expect(await run('select * from app.extend_lease()')).toMatch(/^1:/)
  expect(await prompt.otherRows()).toEqual(before)
})

test('a lease lets no call run that awaits approval', async () => {
  const { run, work } = prompt
  await run(INSERTS.call, [work.runId, 'run_command'])
  for (const status of ['running', 'succeeded', 'failed', 'denied']) {
    const decided = `update app.tool_calls set status = $1 where call_id = 'run_command'`
    expect(await run(decided, [status])).toBe('23514')
  }
  expect(await run(`select status from app.tool_calls where call_id = 'run_command'`)).toContain(
    'awaiting_approval',
  )
})

test('a lease decides and writes no approval, its own task’s included', async () => {
  const { run, work } = prompt
  await run(INSERTS.call, [work.runId, 'run_command'])
  const requested = await run(
    `select id, payload_hash from app.request_approval('x', 'x', '{}', sha256('{}'), 1,
       (select id from app.tool_calls where call_id = 'run_command'), null, null)`,
  )
  const [id] = /[0-9a-f-]{36}/.exec(requested) ?? []
  const before = await house.owner.query('select * from app.approvals')
  for (const decision of ['approve', 'reject']) {
    const decided = 'select * from app.decide_approval($1, $2, null, sha256($3))'
    expect(await run(decided, [id, decision, '{}'])).toBe('0: []')
  }
  expect(await run('select * from app.cancel_approval($1)', [id])).toBe('0: []')
  for (const sql of [
    'select app.expire_approval()',
    `select app.settle_approval(a, 'approved', null, null) from app.approvals a`,
    `update app.approvals set status = 'approved', decided_at = now()`,
    `update app.approvals set payload = '1'`,
    'delete from app.approvals',
    'insert into app.approvals default values',
    'update app.approval_sequences set last_seq = 0',
  ]) {
    expect(await run(sql), sql).toBe('42501')
  }
  expect((await house.owner.query('select * from app.approvals')).rows).toEqual(before.rows)
  expect(await run(`select status from app.tool_calls where call_id = 'run_command'`)).toContain(
    'awaiting_approval',
  )
})
