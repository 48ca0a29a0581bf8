import type { CatalogReader, IsolationProblem } from './problem.ts'

// Checks the expressions of policies: Postgres accepts many that protect nothing or slow every statement
// down.

const SQL = `
select
  format('%I.%I', n.nspname, c.relname) as "table",
  n.nspname::text as schema,
  quote_ident(p.polname) as name,
  case p.polcmd
    when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all'
  end as command,
  array(
    select case role.oid when 0 then 'public' else pg_get_userbyid(role.oid)::text end
    from unnest(p.polroles) role (oid)
  ) as roles,
  pg_get_expr(p.polqual, p.polrelid) as using,
  pg_get_expr(p.polwithcheck, p.polrelid) as "withCheck",
  exists (
    select from pg_attribute a
    where a.attrelid = c.oid and a.attname in ('user_id', 'organization_id') and not a.attisdropped
  ) as "isOwned"
from pg_policy p
join pg_class c on c.oid = p.polrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('app', 'auth')
order by 1, 3`

interface Policy {
  table: string
  schema: string
  name: string
  command: 'select' | 'insert' | 'update' | 'delete' | 'all'
  roles: string[]
  using: string | null
  withCheck: string | null
  /** True if the table's rows belong to a user or an organization. */
  isOwned: boolean
}

export async function findPolicyProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const { rows } = await reader.query<Policy>(SQL)
  return rows.flatMap(policy => [...problemsOf(policy)])
}

function* problemsOf(policy: Policy): Generator<IsolationProblem> {
  const { table, name, command, roles } = policy
  const object = `policy ${name} on ${table}`
  const alter = `alter policy ${name} on ${table}`

  if (roles.includes('public')) {
    yield {
      object,
      problem: 'names no role, and so applies to every login',
      command: `${alter} to rowhouse_api`,
    }
  }
  if (policy.withCheck === null && (command === 'insert' || command === 'update' || command === 'all')) {
    const check = policy.using ?? '…'
    yield { object, problem: `does not spell out "with check"`, command: `${alter} with check (${check})` }
  }
  // Better Auth's login may read and write all of its tables.
  if (policy.schema === 'auth' && roles.every(role => role === 'rowhouse_auth')) return

  for (const [clause, expression] of [
    ['using', policy.using],
    ['with check', policy.withCheck],
  ] as const) {
    if (expression === null) continue
    const mend = `${alter} ${clause} (user_id = (select app.current_user_id()))`
    if (isAlwaysTrue(expression)) {
      yield { object, problem: `has a "${clause}" that is always true`, command: mend }
    } else if (
      !callsFunction(expression) &&
      (policy.isOwned || policy.schema === 'auth') &&
      roles.includes('rowhouse_api')
    ) {
      yield { object, problem: `has a "${clause}" that does not ask who the caller is`, command: mend }
    }
    if (/\bIS NULL\)*\s+OR\b|\bOR\s+\(*[\w.():\s]*?\bIS NULL\b/.test(expression)) {
      yield {
        object,
        problem: `has a "${clause}" with "is null or", which opens the rows if a value is missing`,
        command: mend,
      }
    }
    const bare = bareCall(expression)
    if (bare !== undefined) {
      yield {
        object,
        problem: `calls ${bare}() for every row: wrap it in a select to call it once`,
        command: `${alter} ${clause} (… (select ${bare}()) …)`,
      }
    }
  }
}

/** True for `true`, alone or as one side of an `or`, in the form that Postgres prints. */
function isAlwaysTrue(expression: string): boolean {
  return (
    /^\(*true\)*$/i.test(expression) ||
    /\bOR \(*true\b/i.test(expression) ||
    /\btrue\)* OR\b/i.test(expression)
  )
}

const CALL = /(\bSELECT )?\b(app\.\w+)\(/g

function callsFunction(expression: string): boolean {
  return expression.search(CALL) !== -1
}

/** The first of our functions that is called outside of a sub-select. */
function bareCall(expression: string): string | undefined {
  for (const [, select, name] of expression.matchAll(CALL)) {
    if (select === undefined) return name
  }
  return undefined
}
