import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SignInError } from '#server/db/errors.ts'
import {
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { streamExport } from './export.ts'
import { addLogs, busyConnections, exportTokenOf, readExportOf, rowsIn } from './export-fixture.ts'
import { EXPORTED_TABLES } from './export-tables.ts'
import { openExportToken } from './export-token.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

describe('account.export', () => {
  it('returns a URL that expires in ten minutes and contains no usable credential', async () => {
    const ada = await createActor(house)
    const { url, expiresAt } = await ada.caller().account.export()
    expect(url).toMatch(/^http:\/\/localhost:3000\/media\/exports\/[\w-]+$/)
    expect(expiresAt.getTime() - Date.now()).toBeGreaterThan(9 * 60_000)
    expect(expiresAt.getTime() - Date.now()).toBeLessThanOrEqual(10 * 60_000)

    const token = await exportTokenOf(ada)
    const readable = token + Buffer.from(token, 'base64url').toString('latin1')
    const raw = ada.token.slice(0, ada.token.indexOf('.'))
    const { credential } = openExportToken(token, house.services.authSecret) ?? expect.fail('not a token')
    for (const secret of [ada.token, raw, credential, credential.slice(2)])
      expect(readable).not.toContain(secret)
    const bearer = anonymous(house, { authorization: `Bearer ${token}` })
    expect(await refusalOf(bearer.account.me())).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('is rejected after the session has ended', async () => {
    const ada = await createActor(house)
    await ada.caller().account.revokeSession({ id: ada.sessionId })
    expect(await refusalOf(ada.caller().account.export())).toMatchObject({ code: 'UNAUTHORIZED' })
  })
})

describe('an export', () => {
  it('has all rows of its user, and no other user’s', async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const organization = await createOrganization(eve, [ada])
    const kept = await ada.caller().tasks.create({ prompt: 'write "a poem" \\ ☂' })
    const removed = await ada.caller().tasks.create({ prompt: 'never mind' })
    await ada.caller().tasks.remove({ id: removed.id })
    await ada
      .caller()
      .tasks.logs.append({ taskId: kept.id, entries: [{ type: 'info', message: 'roses\nare red' }] })
    await ada.caller().tasks.messages.send({ taskId: kept.id, content: 'go on' })
    await ada.caller().settings.set({ key: 'theme', value: 'dark' })
    const token = await createApiToken(ada, { scopes: ['tasks:read'] })
    const foreign = await eve.caller().tasks.create({ prompt: 'a secret plan' })

    const { lines, text } = await readExportOf(ada)
    expect(rowsIn(lines, 'users')).toEqual([expect.objectContaining({ id: ada.userId, email: ada.email })])
    expect(rowsIn(lines, 'sessions')).toEqual([expect.objectContaining({ id: ada.sessionId })])
    expect(rowsIn(lines, 'members')).toEqual([expect.objectContaining({ organization_id: organization.id })])
    expect(rowsIn(lines, 'tasks')).toEqual([
      expect.objectContaining({ id: kept.id, prompt: 'write "a poem" \\ ☂', user_id: ada.userId }),
      expect.objectContaining({ id: removed.id, deleted_at: expect.any(String) }),
    ])
    expect(rowsIn(lines, 'task_logs')).toEqual([
      expect.objectContaining({ task_id: kept.id, seq: 1, message: 'roses\nare red' }),
    ])
    expect(rowsIn(lines, 'task_messages')).toEqual([expect.objectContaining({ content: 'go on' })])
    expect(rowsIn(lines, 'settings')).toEqual([expect.objectContaining({ key: 'theme', value: 'dark' })])
    expect(rowsIn(lines, 'daily_usage')).toEqual([expect.objectContaining({ tasks: 2, messages: 1 })])
    expect(rowsIn(lines, 'api_tokens')).toEqual([
      expect.objectContaining({ id: token.id, scopes: ['tasks:read'] }),
    ])
    for (const other of [eve.userId, eve.email, foreign.id, 'a secret plan'])
      expect(text).not.toContain(other)
  })

  it('contains no secret and no hash', async () => {
    const ada = await createActor(house)
    const token = await createApiToken(ada, { scopes: ['tasks:read'] })
    await house.owner.query(
      `insert into auth.accounts (user_id, account_id, provider_id, password, access_token, refresh_token, id_token)
       values ($1::uuid, $1::text, 'credential', 'canary-1', 'canary-2', 'canary-3', 'canary-4')`,
      [ada.userId],
    )
    await house.owner.query(
      `insert into auth.two_factors (user_id, secret, backup_codes) values ($1, 'canary-5', 'canary-6')`,
      [ada.userId],
    )
    await house.owner.query(
      `insert into auth.trusted_devices (user_id, token_hash, expires_at) values ($1, sha256('canary-7'), now())`,
      [ada.userId],
    )
    await ada.caller().tasks.create({ prompt: 'a prompt' })
    const { rows } = await house.owner.query(
      `select encode(t.token_hash, 'hex') as token_hash, s.token from app.api_tokens t join auth.sessions s using (user_id)
       where t.id = $1`,
      [token.id],
    )

    const { text, lines } = await readExportOf(ada)
    expect(rowsIn(lines, 'accounts')).toHaveLength(1)
    expect(rowsIn(lines, 'two_factors')).toHaveLength(1)
    expect(rowsIn(lines, 'trusted_devices')[0]).not.toHaveProperty('token_hash')
    for (const secret of ['canary', rows[0].token_hash, rows[0].token, token.token.slice(11)]) {
      expect(text).not.toContain(secret)
    }
    expect(rowsIn(lines, 'tasks')[0]).not.toHaveProperty('search')
  })

  it('lists every table with a user, and omits columns that are sealed, hashed or indexes', async () => {
    const { rows } = await house.owner.query<{
      table: string
      columns: string[]
      key: string[]
      hidden: string[]
    }>(
      `select c.relname as table, array_agg(a.attname::text) as columns,
         (select array_agg(k.attname::text order by place) filter (where k.attname <> 'user_id' or cardinality(i.indkey) = 1)
          from pg_index i, unnest(i.indkey) with ordinality as keyed (attnum, place), pg_attribute k
          where i.indrelid = c.oid and i.indisprimary and k.attrelid = c.oid and k.attnum = keyed.attnum) as key,
         coalesce(array_agg(a.attname::text) filter (
           where a.atttypid in ('bytea'::regtype, 'tsvector'::regtype, 'app.envelope'::regtype)), '{}') as hidden
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'app'
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       where c.relkind in ('r', 'p')
       group by c.oid, c.relname
       having bool_or(a.attname = 'user_id')`,
    )
    const camelCase = (name: string) => name.replace(/_[a-z]/g, match => match.slice(1).toUpperCase())
    const inCatalog = rows.map(({ table, columns, key }) => [
      `app.${camelCase(table)}`,
      { key: key.map(camelCase), columns: columns.map(camelCase).sort() },
    ])
    const inList = EXPORTED_TABLES.map(({ table, key, columns, withheld }) => [
      table,
      { key, columns: [...columns, ...withheld].sort() },
    ])
    expect(Object.fromEntries(inList)).toEqual(Object.fromEntries(inCatalog))
    for (const { table, hidden } of rows) {
      const listed = EXPORTED_TABLES.find(one => one.table === `app.${camelCase(table)}`)
      expect(listed?.withheld, table).toEqual(expect.arrayContaining(hidden.map(camelCase)))
    }
  })

  it('has a line for every table in auth with a user', async () => {
    const ada = await createActor(house)
    const { id: organizationId } = await createOrganization(ada)
    await house.owner.query(
      `insert into auth.invitations (organization_id, inviter_id, email, expires_at) values ($1, $2, 'x@example.com', now())`,
      [organizationId, ada.userId],
    )
    await house.owner.query(
      `insert into auth.accounts (user_id, account_id, provider_id) values ($1::uuid, $1::text, 'credential')`,
      [ada.userId],
    )
    await house.owner.query(
      `insert into auth.two_factors (user_id, secret, backup_codes) values ($1, '', '')`,
      [ada.userId],
    )
    await house.owner.query(
      `insert into auth.trusted_devices (user_id, token_hash, expires_at) values ($1, sha256('a'), now())`,
      [ada.userId],
    )
    await house.owner.query(
      `insert into auth.verifications (user_id, identifier, value, expires_at) values ($1, 'canary-8', 'canary-9', now())`,
      [ada.userId],
    )
    const { rows } = await house.owner.query<{ table: string }>(
      `select distinct conrelid::regclass::text as table from pg_constraint
       where contype = 'f' and confrelid = 'auth.users'::regclass and conrelid::regclass::text like 'auth.%'`,
    )
    const { lines } = await readExportOf(ada)
    const exported = new Set(lines.map(line => `auth.${line.table}`))
    expect([...exported]).toEqual(expect.arrayContaining(['auth.users', ...rows.map(row => row.table)]))
    expect(JSON.stringify(rowsIn(lines, 'verifications'))).not.toContain('canary')
  })

  it('reads long tables in batches, each row once and in order', async () => {
    const ada = await createActor(house)
    const taskId = await addLogs(ada, 1_701)
    const { lines, chunks } = await readExportOf(ada)
    const logs = rowsIn(lines, 'task_logs')
    expect(logs.map(log => log.seq)).toEqual(Array.from({ length: 1_701 }, (_, index) => index + 1))
    expect(new Set(logs.map(log => log.task_id))).toEqual(new Set([taskId]))
    for (const chunk of chunks) expect(chunk.split('\n').length - 1).toBeLessThanOrEqual(500)
  })

  it('reads fewer long rows in a batch', async () => {
    const ada = await createActor(house)
    await addLogs(ada, 300, 'x'.repeat(60_000))
    const { lines, chunks } = await readExportOf(ada)
    expect(rowsIn(lines, 'task_logs')).toHaveLength(300)
    for (const chunk of chunks) expect(chunk.length).toBeLessThan(4 * 1024 * 1024)
  })

  it('is one snapshot, without later changes', async () => {
    const ada = await createActor(house)
    const stream = await streamExport(house.services, await exportTokenOf(ada))
    const lines = stream?.[Symbol.asyncIterator]() ?? expect.fail('refused')
    await lines.next()
    await ada.caller().tasks.create({ prompt: 'too late' })
    let rest = ''
    for (let next = await lines.next(); !next.done; next = await lines.next()) rest += next.value
    expect(rest).not.toContain('too late')
  })

  it('releases its connection at its end, and when its reader leaves', async () => {
    const ada = await createActor(house)
    await addLogs(ada, 1_200)
    await readExportOf(ada)
    expect(busyConnections(house)).toBe(0)
    const stream = await streamExport(house.services, await exportTokenOf(ada))
    for await (const _chunk of stream ?? []) break
    expect(busyConnections(house)).toBe(0)
  })

  it('stops when it is aborted', async () => {
    const ada = await createActor(house)
    await addLogs(ada, 1_200)
    const abort = new AbortController()
    const stream = await streamExport(house.services, await exportTokenOf(ada), abort.signal)
    const reading = (async () => {
      for await (const _chunk of stream ?? []) abort.abort()
    })()
    await expect(reading).rejects.toThrow('cancelled')
    expect(busyConnections(house)).toBe(0)
  })

  it('ends within a second after the session ends', async () => {
    const ada = await createActor(house)
    await addLogs(ada, 5_000)
    const stream = await streamExport(house.services, await exportTokenOf(ada))
    const reading = (async () => {
      let isFirst = true
      for await (const _chunk of stream ?? []) {
        if (!isFirst) continue
        isFirst = false
        await ada.caller().account.revokeSession({ id: ada.sessionId })
        await sleep(1_000)
      }
    })()
    await expect(reading).rejects.toThrow(SignInError)
    expect(busyConnections(house)).toBe(0)
  })

  it('is rejected for a session that was revoked or has expired', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house, { name: 'Bob' })]
    const [adas, bobs] = [await exportTokenOf(ada), await exportTokenOf(bob)]
    await ada.caller().account.revokeSession({ id: ada.sessionId })
    await house.owner.query(`update auth.sessions set expires_at = now() where id = $1`, [bob.sessionId])
    expect(await streamExport(house.services, adas)).toBeNull()
    expect(await streamExport(house.services, bobs)).toBeNull()
  })
})
