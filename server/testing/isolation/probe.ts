import pg, { type ClientBase } from 'pg'
import { type Household, idsOf, marksOf } from './dataset.ts'
import type { Table } from './tables.ts'

// Probes tables with SQL of the API's login: which rows it can reach with a credential that is not the
// owner's, and which the owner can't reach. Every attempt runs in a savepoint and is rolled back.

/** A client in a transaction, as rowhouse_api. */
type ApiClient = Pick<ClientBase, 'query'>

export interface Caller {
  readonly name: string
  /** The value of `app.credential`; null for none. */
  readonly credential: string | null
}

/** Tables with rows that everyone may read. The dataset's rows in them have no owner. */
const SHARED_TABLES = ['app.tools']

/** The rights of a lease on its own task's rows; it has no others. */
const LEASE_RIGHTS: Readonly<Record<string, readonly ('select' | 'insert' | 'update')[]>> = {
  'app.tasks': ['select', 'update'],
  'app.task_logs': ['select', 'insert'],
  'app.task_messages': ['select', 'insert', 'update'],
  'app.task_message_deltas': ['select', 'insert'],
  'app.task_events': ['select', 'insert'],
  'app.agent_runs': ['select', 'insert', 'update'],
  'app.tool_calls': ['select', 'insert', 'update'],
  'app.approvals': ['select'],
}

/** One row of the owner for each table, as JSON. */
export type SampleRows = Readonly<Record<string, string>>

interface Outcome {
  readonly rows: string[]
  readonly count: number
  /** SQLSTATE of a refusal. */
  readonly code: string | undefined
  /** Refused by a policy's `with check`: for an update, a row was found. */
  readonly isByCheck: boolean
}

const REFUSED_BY_GRANT_OR_POLICY = '42501'

/** True if refused by a grant, by a policy, or because the credential is not a digest (22023). */
function isRefused(code: string | undefined): boolean {
  return code === REFUSED_BY_GRANT_OR_POLICY || code === '22023'
}

export async function sampleRows(
  reader: Pick<ClientBase, 'query'>,
  tables: readonly Pick<Table, 'name'>[],
  marks: readonly string[],
): Promise<SampleRows> {
  const samples: Record<string, string> = {}
  for (const { name } of tables) {
    const { rows } = await reader.query<{ row: string }>(
      `select to_jsonb(t)::text as row from ${name} t where exists (
         select from unnest($1::text[]) mark where strpos(to_jsonb(t)::text, mark) > 0
       ) limit 1`,
      [marks],
    )
    const [sample] = rows
    if (!sample) throw new Error(`${name} has no row of the owner's: give it one in dataset.ts`)
    samples[name] = sample.row
  }
  return samples
}

/** Finds rows that `callers`, who own nothing in these tables, can still see or change. */
export async function findLeaks(
  client: ApiClient,
  {
    tables,
    callers,
    owner,
    samples,
  }: { tables: readonly Table[]; callers: readonly Caller[]; owner: Household; samples: SampleRows },
): Promise<string[]> {
  const leaks: string[] = []
  const marks = marksOf(owner)
  const isOwners = (text: string) => marks.some(mark => text.includes(mark))
  for (const { name: caller, credential } of callers) {
    // They claim the owner's organization, as SQL on its own connection can.
    await presentCredential(client, credential, owner.organizationId)
    for (const table of tables) {
      const sample = samples[table.name] ?? '{}'
      const seen = await attempt(client, readOf(table))
      const isClosed = credential === null && !SHARED_TABLES.includes(table.name)
      if (isClosed ? seen.count > 0 : seen.rows.some(isOwners)) leaks.push(`${caller} reads ${table.name}`)
      if (seen.code !== undefined && !isRefused(seen.code))
        leaks.push(`${caller} reading ${table.name}: ${seen.code}`)

      if (table.insertable.length > 0) {
        const inserted = await attempt(client, insertOf(table), [sample])
        // A row's own id names nobody: it counts together with its owner.
        const columns = table.insertable.filter(column => column !== 'id')
        const inserts = JSON.stringify(pick(sample, columns))
        const namesOwner = idsOf(owner).some(id => inserts.includes(id))
        if (inserted.code === undefined && (credential === null || namesOwner)) {
          leaks.push(`${caller} inserts into ${table.name}`)
        }
        // With the owner's key in the row, or with nobody's, the policy refuses it before any constraint is
        // looked at.
        const isPolicys = credential === null || table.insertable.includes('user_id')
        if (isPolicys && inserted.code !== undefined && !isRefused(inserted.code)) {
          leaks.push(`${caller} inserts into ${table.name} up to ${inserted.code}`)
        }
      }
      for (const column of table.updatable) {
        const updated = await attempt(client, updateOf(table, column), [sample])
        if (isReached(updated) || updated.isByCheck)
          leaks.push(`${caller} updates ${column} of ${table.name}`)
      }
      if (table.isDeletable && isReached(await attempt(client, `delete from ${table.name}`))) {
        leaks.push(`${caller} deletes from ${table.name}`)
      }
    }
  }
  return leaks
}

/** Finds what the owner can't do with their own rows, of all that the API's login is granted. */
export async function findLosses(
  client: ApiClient,
  {
    tables,
    owner,
    credential,
    samples,
  }: {
    tables: readonly Table[]
    owner: Pick<Household, 'name'> & Partial<Pick<Household, 'organizationId'>>
    credential: string
    samples: SampleRows
  },
): Promise<string[]> {
  const losses: string[] = []
  await presentCredential(client, credential, owner.organizationId)
  for (const table of tables) {
    const sample = samples[table.name] ?? '{}'
    if (table.readable.length > 0) {
      const seen = await attempt(client, readOf(table))
      if (seen.count === 0) losses.push(`${owner.name} can't read ${table.name}`)
    }
    if (table.insertable.length > 0) {
      const inserted = await attempt(client, insertOf(table), [sample])
      // A duplicate of their own row got past the policy.
      if (inserted.code === REFUSED_BY_GRANT_OR_POLICY)
        losses.push(`${owner.name} can't insert into ${table.name}`)
    }
    const [column] = table.updatable
    if (column !== undefined) {
      const updated = await attempt(client, `update ${table.name} set ${column} = ${column}`)
      if (updated.count === 0) losses.push(`${owner.name} can't update ${table.name}`)
    }
    if (table.isDeletable && (await attempt(client, `delete from ${table.name}`)).count === 0) {
      losses.push(`${owner.name} can't delete from ${table.name}`)
    }
  }
  return losses
}

/** The tables with the rights of a lease, of all that the API's login is granted. */
export function asLeased(tables: readonly Table[]): Table[] {
  return tables.flatMap(table => {
    const rights = LEASE_RIGHTS[table.name]
    if (!rights) return []
    return [
      {
        ...table,
        readable: rights.includes('select') ? table.readable : [],
        insertable: rights.includes('insert') ? table.insertable : [],
        updatable: rights.includes('update') ? table.updatable : [],
        isDeletable: false,
      },
    ]
  })
}

/**
 * Finds tables in which the owner, or anyone, can give their row, or a row of their organization, to
 * `recipient`, if the grants allow the attempt.
 */
export async function findGifts(
  client: ApiClient,
  {
    tables,
    credential,
    recipient,
    organizationId,
  }: { tables: readonly Table[]; credential: string; recipient: Household; organizationId?: string },
): Promise<string[]> {
  const gifts: string[] = []
  await presentCredential(client, credential, organizationId)
  for (const { name, updatable, ownerColumn } of tables) {
    const gift =
      ownerColumn === 'organization_id'
        ? { column: 'organization_id', to: recipient.organizationId }
        : { column: 'user_id', to: recipient.userId }
    if (!updatable.includes(gift.column)) continue
    const given = await attempt(client, `update ${name} set ${gift.column} = '${gift.to}'`)
    if (isReached(given)) gifts.push(`a row of ${name} can be given away`)
  }
  return gifts
}

/** Finds rows of its owner that a lease sees beyond its own task. `work` occurs in every row of that task. */
export async function findExcess(
  client: ApiClient,
  { tables, credential, work }: { tables: readonly Table[]; credential: string; work: readonly string[] },
): Promise<string[]> {
  const excess: string[] = []
  await presentCredential(client, credential)
  for (const table of tables) {
    const { rows } = await attempt(client, readOf(table))
    if (!rows.every(row => work.some(mark => row.includes(mark))))
      excess.push(`a lease reads more of ${table.name}`)
  }
  return excess
}

async function presentCredential(
  client: ApiClient,
  credential: string | null,
  organizationId = '',
): Promise<void> {
  await client.query(
    `select set_config('app.credential', $1, true), set_config('app.organization', $2, true)`,
    [credential ?? '', organizationId],
  )
}

/** A row was found and changed, or would have been but for a constraint. */
function isReached({ count, code }: Outcome): boolean {
  return count > 0 || (code !== undefined && !isRefused(code))
}

async function attempt(client: ApiClient, sql: string, values: unknown[] = []): Promise<Outcome> {
  await client.query('savepoint attempt')
  try {
    const { rows, rowCount } = await client.query(sql, values)
    return {
      rows: rows.map(row => JSON.stringify(row)),
      count: rowCount ?? 0,
      code: undefined,
      isByCheck: false,
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const isByCheck = error instanceof pg.DatabaseError && error.routine === 'ExecWithCheckOptions'
    return { rows: [], count: 0, code, isByCheck }
  } finally {
    await client.query('rollback to savepoint attempt')
  }
}

function readOf(table: Table): string {
  return `select ${table.readable.join(', ') || '*'} from ${table.name}`
}

function insertOf(table: Table): string {
  const columns = table.insertable.join(', ')
  return `insert into ${table.name} (${columns}) select ${columns} from jsonb_populate_record(null::${table.name}, $1::jsonb)`
}

/** Reads no column of the table, so that policies for select stay out of it. */
function updateOf(table: Table, column: string): string {
  return `update ${table.name} set ${column} = (jsonb_populate_record(null::${table.name}, $1::jsonb)).${column}`
}

function pick(row: string, columns: readonly string[]): unknown {
  const values: Record<string, unknown> = JSON.parse(row)
  return columns.map(column => values[column])
}
