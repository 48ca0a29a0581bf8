// Ways to break a policy, one at a time.
import type pg from 'pg'

export interface Policy {
  readonly table: string
  readonly name: string
  readonly command: 'select' | 'insert' | 'update' | 'delete' | 'all'
  readonly role: string
  readonly using: string | null
  readonly withCheck: string | null
}

export interface Mutation {
  readonly title: string
  readonly table: string
  readonly sql: string
  /** What is left out of a clause, where that is the mutation. */
  readonly condition?: string
}

export async function readPolicies(owner: pg.Pool): Promise<Policy[]> {
  const { rows } = await owner.query<Policy>(
    `select
       format('%I.%I', schemaname, tablename) as table, quote_ident(policyname) as name, lower(cmd) as command,
       roles[1]::text as role, qual as using, with_check as "withCheck"
     from pg_policies where schemaname in ('app', 'auth') order by 1, 2`,
  )
  return rows
}

/** Whether both are for the same command of the same login, so that one is left where the other goes. */
export function isSibling(one: Policy, other: Policy | undefined): boolean {
  return one.table === other?.table && one.command === other.command && one.role === other.role
}

type Wanted = 'drop' | 'true' | 'true check' | 'no check' | 'all roles' | 'unbound' | 'condition'

/** The conditions that an expression joins with AND, as Postgres prints it; one where it joins none. */
function conditionsOf(expression: string): string[] {
  const inner = /^\((.*)\)$/s.exec(expression)?.[1] ?? expression
  const conditions: string[] = []
  let depth = 0
  let start = 0
  for (let at = 0; at < inner.length; at++) {
    if (inner[at] === '(') depth++
    else if (inner[at] === ')') depth--
    else if (depth === 0 && inner.startsWith(' AND ', at)) {
      conditions.push(inner.slice(start, at))
      start = at + ' AND '.length
    }
  }
  return [...conditions, inner.slice(start)]
}

/** The clause without one of its conditions, for each of them. */
function withoutEach(clause: string, expression: string | null): { clause: string; condition: string }[] {
  if (expression === null) return []
  const conditions = conditionsOf(expression)
  if (conditions.length < 2) return []
  return conditions.map((condition, i) => ({
    clause: `${clause} (${conditions.filter((_, j) => i !== j).join(' and ')})`,
    condition,
  }))
}

/** One mutation of this kind for each policy that can have it. */
export function mutationsOf(policies: readonly Policy[], wanted: Wanted): Mutation[] {
  return policies.flatMap(({ table, name, command, role, using, withCheck }) => {
    const policy = `policy ${name} on ${table}`
    const isAuths = role === 'rowhouse_auth'
    switch (wanted) {
      case 'drop':
        return [{ title: `${policy}, dropped`, table, sql: `drop ${policy}` }]
      case 'true':
        // Those of Better Auth's login are true as they are, or hide what is removed.
        return using === null || isAuths
          ? []
          : [{ title: `${policy}, true`, table, sql: `alter ${policy} using (true)` }]
      case 'true check':
        return withCheck === null || isAuths
          ? []
          : [{ title: `${policy}, checking nothing`, table, sql: `alter ${policy} with check (true)` }]
      case 'no check': {
        if (withCheck === null) return []
        const created = `create ${policy} for ${command} to ${role} ${using === null ? '' : `using (${using})`}`
        return [{ title: `${policy}, without a check`, table, sql: `drop ${policy}; ${created}` }]
      }
      case 'all roles':
        return [{ title: `${policy}, for all roles`, table, sql: `alter ${policy} to public` }]
      case 'unbound': {
        const unbound = using?.replaceAll('( SELECT app.holds_lease() AS holds_lease)', 'false')
        return unbound === undefined || unbound === using
          ? []
          : [{ title: `${policy}, unbound`, table, sql: `alter ${policy} using (${unbound})` }]
      }
      case 'condition':
        return [...withoutEach('using', using), ...withoutEach('with check', withCheck)].map(
          ({ clause, condition }) => ({
            title: `${policy}, ${clause.slice(0, clause.indexOf(' ('))} without ${condition}`,
            table,
            sql: `alter ${policy} ${clause}`,
            condition,
          }),
        )
      default:
        return wanted satisfies never
    }
  })
}
