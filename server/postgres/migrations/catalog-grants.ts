/** One item of an access control list, as `aclexplode` returns it; the grantee `public` means everyone. */
export interface Grant {
  grantee: string
  privilege: string
  isGrantable: boolean
  /** Set for a grant on a single column. */
  column?: string
}

/** SQL for a JSON array of the rights that an ACL grants to others than the owner. */
export function grantsSql(acl: string, kind: string, owner: string): string {
  return `(
    select coalesce(json_agg(json_build_object(
      'grantee', case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
      'privilege', lower(a.privilege_type),
      'isGrantable', a.is_grantable
    )), '[]')
    from pg_catalog.aclexplode(coalesce(${acl}, pg_catalog.acldefault('${kind}', ${owner}))) a
    where a.grantee <> ${owner}
  )`
}

const everyTablePrivilege = ['delete', 'insert', 'references', 'select', 'trigger', 'truncate', 'update']

/**
 * Statements that create these grants on a new object. `publicDefault` is the right that everyone has by
 * default (execute a function, use a type): if it is missing, a revoke is written; if present, nothing.
 */
export function renderGrants(target: string, grants: Grant[], publicDefault?: string): string[] {
  const lines: string[] = []
  const isDefault = (grant: Grant) => grant.grantee === 'public' && grant.privilege === publicDefault
  if (publicDefault && !grants.some(isDefault)) lines.push(`revoke all on ${target} from public;`)
  const listed = grants.filter(grant => !isDefault(grant))
  const grantees = [...new Set(listed.map(grant => grant.grantee))].sort()
  for (const grantee of grantees) {
    for (const isGrantable of [false, true]) {
      const own = listed.filter(grant => grant.grantee === grantee && grant.isGrantable === isGrantable)
      if (own.length === 0) continue
      const option = isGrantable ? ' with grant option' : ''
      lines.push(`grant ${privilegeList(own)} on ${target} to ${grantee}${option};`)
    }
  }
  return lines
}

function privilegeList(grants: Grant[]): string {
  const whole = new Set(grants.filter(grant => grant.column === undefined).map(grant => grant.privilege))
  // Since Postgres 17, "all" on a table includes maintain.
  if (everyTablePrivilege.every(privilege => whole.has(privilege))) {
    for (const privilege of [...everyTablePrivilege, 'maintain']) whole.delete(privilege)
    whole.add('all')
  }
  const byPrivilege = new Map<string, string[]>()
  for (const { privilege, column } of grants) {
    if (column !== undefined) byPrivilege.set(privilege, [...(byPrivilege.get(privilege) ?? []), column])
  }
  const columns = [...byPrivilege].map(([privilege, names]) => `${privilege} (${names.join(', ')})`)
  return [...[...whole].sort(), ...columns.sort()].join(',\n  ')
}

export function renderComment(target: string, comment: string | null): string[] {
  return comment === null ? [] : [`comment on ${target} is ${quoteLiteral(comment)};`]
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
