import { type QueryExecutorProvider, sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import { type Database, scopedDatabase, signIn } from '#server/db/database.ts'
import { SignInError } from '#server/db/errors.ts'
import type { Identity } from '#server/db/identity.ts'
import { DEFAULT_TIMEOUT_MS, type StatementScope } from '#server/db/scope.ts'
import { TimeBudget } from '#server/db/time-budget.ts'
import { EXPORTED_TABLES, type ExportedTable } from './export-tables.ts'
import { openExportToken, sealExportToken } from './export-token.ts'

const URL_LIFETIME_MS = 10 * 60_000
/** A batch grows or shrinks with the size of the rows before it: 500 log lines, or a few long messages. */
const FIRST_BATCH_ROWS = 50
const MAX_BATCH_ROWS = 500
const TARGET_BATCH_CHARS = 2 * 1024 * 1024
const RECHECK_MS = 1_000
const AUTH_TABLES = ['sessions', 'trusted_devices', 'members', 'invitations'] as const
const NIL_UUID = '00000000-0000-0000-0000-000000000000'

export type ExportServices = Pick<Services, 'pools' | 'places' | 'authSecret' | 'appUrl'>

/**
 * Creates a URL with which its bearer can download the caller's whole account for ten minutes, or until the
 * session ends.
 */
export function createExportUrl(
  _identity: Identity,
  { services, credential }: { services: ExportServices; credential: string },
): { url: string; expiresAt: Date } {
  const expiresAt = Date.now() + URL_LIFETIME_MS
  const token = sealExportToken({ credential, expiresAt }, services.authSecret)
  return { url: new URL(`/media/exports/${token}`, services.appUrl).href, expiresAt: new Date(expiresAt) }
}

/**
 * Streams all rows of the token's user as JSON lines (`{"table":"tasks","row":{…}}`), many to a chunk. Null
 * if the token is not valid. Reads one snapshot, and so holds a connection until the stream ends or is
 * returned; holds one batch in memory. Throws within a second after the session was revoked.
 */
export async function streamExport(
  services: ExportServices,
  token: string,
  signal?: AbortSignal,
): Promise<AsyncIterable<string> | null> {
  const grant = openExportToken(token, services.authSecret)
  if (grant === null) return null
  const budget = new TimeBudget()
  const scope: StatementScope = {
    credential: grant.credential,
    organizationId: null,
    permission: 'session',
    isReadOnly: true,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    isUnhurried: true,
    budget,
    signal,
  }
  const { api } = services.pools
  const identity = await signIn(api, scope).catch((error: unknown) => {
    if (error instanceof SignInError) return null
    throw error
  })
  if (identity === null) return null
  const giveBack = await services.places.take('exports', identity.userId)
  const chunks = readSnapshot(scopedDatabase(api, scope), () => signIn(api, scope), { budget, giveBack })
  // Reads the first chunk now, so that the caller can still answer with an error if the database does not
  // respond.
  return beginningWith(await chunks.next(), chunks)
}

function beginningWith<T>(first: IteratorResult<T, void>, rest: AsyncGenerator<T, void>): AsyncIterable<T> {
  let isFirst = true
  const iterator: AsyncIterableIterator<T> = {
    [Symbol.asyncIterator]: () => iterator,
    next: async () => {
      if (!isFirst) return rest.next()
      isFirst = false
      return first
    },
    return: () => rest.return(),
  }
  return iterator
}

async function* readSnapshot(
  db: Database,
  recheck: () => Promise<unknown>,
  { budget, giveBack }: { budget: TimeBudget; giveBack: () => void },
): AsyncGenerator<string, void, undefined> {
  using _place = { [Symbol.dispose]: giveBack }
  const snapshot = await db
    .startTransaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute()
  try {
    let checkedAt = Date.now()
    for await (const chunk of readEverything(snapshot)) {
      yield chunk
      budget.renew()
      // The snapshot does not see that the session has ended.
      if (Date.now() - checkedAt < RECHECK_MS) continue
      await recheck()
      checkedAt = Date.now()
    }
  } finally {
    await snapshot.rollback().execute()
  }
}

async function* readEverything(db: QueryExecutorProvider): AsyncGenerator<string, void, undefined> {
  yield await readAccount(db)
  for (const source of AUTH_TABLES) yield* readAuthTable(db, source)
  for (const table of EXPORTED_TABLES) yield* readTable(db, table)
}

async function readAccount(db: QueryExecutorProvider): Promise<string> {
  const { rows } = await sql<{ source: string; json: string }>`
    select source, data::text as json from app.export_account() as account
  `.execute(db)
  return rows.map(({ source, json }) => line(source, json)).join('')
}

/** Reads those tables of `auth` in batches that may hold any number of rows for a user. */
async function* readAuthTable(
  db: QueryExecutorProvider,
  source: (typeof AUTH_TABLES)[number],
): AsyncGenerator<string, void, undefined> {
  let after = NIL_UUID
  for (;;) {
    const { rows } = await sql<{ id: string; json: string }>`
      select id, data::text as json from app.export_rows(${source}, ${after}::uuid, ${MAX_BATCH_ROWS})
    `.execute(db)
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.map(({ json }) => line(source, json)).join('')
    after = last.id
  }
}

/**
 * Reads a table in batches by key. Filters by owner, because the policies also show rows of fellow members.
 */
async function* readTable(
  db: QueryExecutorProvider,
  exported: ExportedTable,
): AsyncGenerator<string, void, undefined> {
  const name = snakeCase(exported.table.slice('app.'.length))
  const table = sql.table(exported.table)
  const key = sql.join(exported.key.map(column => sql.ref(column)))
  const columns = sql.join(exported.columns.map(column => sql.ref(column)))
  let after = sql<boolean>`true`
  let limit = FIRST_BATCH_ROWS
  for (;;) {
    const { rows } = await sql<{ json: string; key: unknown[] }>`
      select to_json(batch)::text as json, json_build_array(${key}) as key
      from (select ${columns} from ${table} where user_id = (select app.current_user_id()) and ${after} order by ${key} limit ${limit}) as batch
      order by ${key}
    `.execute(db)
    const last = rows.at(-1)
    if (last === undefined) return
    const chunk = rows.map(row => line(name, row.json)).join('')
    yield chunk
    if (rows.length < limit) return
    after = sql`(${key}) > (${sql.join(last.key)})`
    limit = Math.max(
      1,
      Math.min(MAX_BATCH_ROWS, Math.floor((TARGET_BATCH_CHARS * rows.length) / chunk.length)),
    )
  }
}

function line(table: string, json: string): string {
  return `{"table":${JSON.stringify(table)},"row":${json}}\n`
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}
