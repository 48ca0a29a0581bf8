import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import pg, { type ClientBase } from 'pg'

// What SQL of the API's login can do to each row of a table, however small the difference: for policies that
// join several conditions, of which one row meets all but one.

/** As a superuser, in a transaction that is rolled back. */
type Superuser = Pick<ClientBase, 'query'>

export interface Presented {
  readonly name: string
  readonly credential: string
  readonly organizationId: string
}

/** What rows differ in besides the ids that they name, where a policy may ask for it. */
const VARIED: Readonly<Record<string, readonly (string | null)[]>> = {
  role: ['user', 'agent'],
  status: ['pending', 'stopped', 'completed', 'revoked', 'draft', 'published'],
  deleted_at: [null, '2020-01-01T00:00:00Z'],
}

type Values = Readonly<Record<string, readonly (string | null)[]>>

export interface Scene {
  readonly table: string
  readonly columns: readonly string[]
  /** Rows, as JSON, to insert and to change others into. */
  readonly rows: readonly string[]
}

/**
 * Makes rows that meet all conditions of a policy but the one that is given: each row again, with another
 * value in each column that the condition names. Triggers and foreign keys are off from here on, so that
 * policies alone decide.
 */
export async function setScene(
  superuser: Superuser,
  { table, condition, others }: { table: string; condition: string; others: Values },
): Promise<Scene> {
  await superuser.query('set local session_replication_role = replica')
  const { rows: found } = await superuser.query<{ name: string }>(
    `select quote_ident(attname) as name from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
    [table],
  )
  const columns = found.map(({ name }) => name)
  const { rows: originals } = await superuser.query<{ row: string }>(
    `select to_jsonb(t)::text as row from ${table} t`,
  )
  const rows = originals.map(({ row }) => row)
  for (const [name, values] of Object.entries({ ...VARIED, ...others })) {
    if (!columns.includes(name) || !new RegExp(`\\b${name}\\b`).test(condition)) continue
    for (const { row } of originals) {
      for (const value of values) {
        const variant = { ...JSON.parse(row), ...changeOf(columns, name, value) }
        rows.push(JSON.stringify(variant))
        await plant(superuser, { table, columns, variant })
      }
    }
  }
  return { table, columns, rows }
}

/**
 * Adds the row, under other keys where its own are taken, or puts it in the place of the one that has them.
 */
async function plant(
  superuser: Superuser,
  {
    table,
    columns,
    variant,
  }: { table: string; columns: readonly string[]; variant: Record<string, unknown> },
): Promise<void> {
  const fresh: Record<string, unknown> = {}
  for (const name of columns) {
    if (name === 'id') fresh[name] = randomUUID()
    if (name.endsWith('seq') && variant[name] !== null) fresh[name] = randomInt(1_000, 1_000_000)
    if (name === 'slug') fresh[name] = randomUUID()
    if (name.endsWith('_hash')) fresh[name] = `\\x${randomBytes(32).toString('hex')}`
  }
  for (const row of [variant, { ...variant, ...fresh }]) {
    if ((await attempt(superuser, insertOf(table, columns), [JSON.stringify(row)], false)) !== '23505') return
  }
}

/** Which column is another; a row that is removed says by which removal. */
function changeOf(
  columns: readonly string[],
  name: string,
  value: string | null,
): Record<string, string | null> {
  if (name !== 'deleted_at' || !columns.includes('deletion_id')) return { [name]: value }
  return { deleted_at: value, deletion_id: value && randomUUID() }
}

/** Every row of a table with one value in one column. */
export async function bend(
  superuser: Superuser,
  { table, columns }: Scene,
  [name, value]: [string, string | null],
): Promise<void> {
  const change = changeOf(columns, name, value)
  const names = Object.keys(change).filter(column => columns.includes(column))
  const assignments = names.map((column, i) => `${column} = $${i + 1}`).join(', ')
  if (names.length > 0)
    await attempt(
      superuser,
      `update ${table} set ${assignments}`,
      names.map(column => change[column]),
      false,
    )
}

/** The values that may stand in a column which a condition names. */
export function valuesOf(condition: string, others: Values): [name: string, value: string | null][] {
  return Object.entries({ ...VARIED, ...others }).flatMap(([name, values]) =>
    new RegExp(`\\b${name}\\b`).test(condition)
      ? values.map((value): [string, string | null] => [name, value])
      : [],
  )
}

/** What comes of each attempt, by its name: a SQLSTATE, or how many rows. */
export async function outcomesIn(
  superuser: Superuser,
  scene: Scene,
  callers: readonly Presented[],
): Promise<Map<string, string>> {
  const { table, columns, rows } = scene
  const outcomes = new Map<string, string>()
  await superuser.query('set local role rowhouse_api')
  for (const { name, credential, organizationId } of callers) {
    await superuser.query(
      `select set_config('app.credential', $1, true), set_config('app.organization', $2, true)`,
      [credential, organizationId],
    )
    const note = async (what: string, sql: string, values: unknown[] = []) =>
      outcomes.set(`${name} ${what}`, await attempt(superuser, sql, values, true))
    await note('selects', `select * from ${table}`)
    await note('deletes', `delete from ${table}`)
    for (const [i, row] of rows.entries()) {
      await note(`inserts ${i}`, insertOf(table, columns), [row])
      // Of all rows that it may change, makes this one: the first that is another's is refused.
      await note(
        `changes into ${i}`,
        `update ${table} set (${columns.join(', ')}) = (select ${columns.join(', ')} from jsonb_populate_record(null::${table}, $1::jsonb))`,
        [row],
      )
    }
    // Reads no column, so that policies for select stay out of it.
    await note('changes', `update ${table} set ${columns.at(-1)} = default`)
  }
  await superuser.query('reset role')
  return outcomes
}

function insertOf(table: string, columns: readonly string[]): string {
  const list = columns.join(', ')
  return `insert into ${table} (${list}) select ${list} from jsonb_populate_record(null::${table}, $1::jsonb)`
}

async function attempt(
  client: Superuser,
  sql: string,
  values: unknown[],
  isUndone: boolean,
): Promise<string> {
  await client.query('savepoint attempt')
  try {
    const { rowCount } = await client.query(sql, values)
    if (isUndone) await client.query('rollback to savepoint attempt')
    return `${rowCount} rows`
  } catch (error) {
    await client.query('rollback to savepoint attempt')
    if (!(error instanceof pg.DatabaseError)) throw error
    return error.code ?? ''
  } finally {
    await client.query('release savepoint attempt')
  }
}
