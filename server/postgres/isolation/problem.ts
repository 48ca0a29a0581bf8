import type { ClientBase } from 'pg'

/** A client or a pool of any login, to read the system catalog. */
export type CatalogReader = Pick<ClientBase, 'query'>

export interface IsolationProblem {
  /** The faulty object, as Postgres names it: `policy select_owner on app.tasks`. */
  readonly object: string
  /** What is wrong, as the rest of a sentence that starts with the object. */
  readonly problem: string
  /** The SQL or the command that repairs it. */
  readonly command: string
}

/**
 * A CTE named `rights`: every right to a table or to some of its columns that a login or PUBLIC (`login` is
 * null) was granted. Takes the logins as $1.
 */
export const RIGHTS = `
  rights as (
    select distinct c.oid as relid, r.rolname::text as login, acl.privilege_type as privilege
    from pg_class c
    cross join lateral (
      select * from aclexplode(c.relacl)
      union all
      select x.* from pg_attribute a, aclexplode(a.attacl) x where a.attrelid = c.oid and not a.attisdropped
    ) acl
    left join pg_roles r on r.oid = acl.grantee
    where acl.grantee = 0 or r.rolname = any ($1)
  )`
