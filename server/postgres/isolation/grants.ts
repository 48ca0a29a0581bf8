import { LOGINS } from '../login-names.ts'
import { type CatalogReader, type IsolationProblem, RIGHTS } from './problem.ts'

// Checks which tables a login reaches, and whether row-level security is enabled on them.

/** The columns of `auth` that the API may read: about its caller, fellow members and organizations. */
const READABLE_AUTH_COLUMNS = [
  'users.id',
  'users.name',
  'users.image',
  'organizations.id',
  'organizations.name',
  'organizations.slug',
  'organizations.logo',
  'members.organization_id',
  'members.user_id',
  'members.role',
]

const SQL = `
with ${RIGHTS},
relation as (
  select
    c.oid, c.relkind, c.relrowsecurity, c.relispartition, n.nspname::text as schema,
    format('%I.%I', n.nspname, c.relname) as name,
    coalesce('security_invoker=true' = any (c.reloptions) or 'security_invoker=on' = any (c.reloptions), false)
      as is_invoker
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
    and not exists (
      select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
),
granted as (
  select relation.*, rights.login, rights.privilege
  from relation join rights on rights.relid = relation.oid
),
policy as (
  select p.polrelid, r.rolname::text as login, command
  from pg_policy p
  cross join lateral unnest(p.polroles) role (oid)
  join pg_roles r on r.oid = role.oid
  cross join lateral unnest(
    case p.polcmd
      when 'r' then array['SELECT'] when 'a' then array['INSERT'] when 'w' then array['UPDATE']
      when 'd' then array['DELETE'] else array['SELECT', 'INSERT', 'UPDATE', 'DELETE']
    end
  ) command
  where p.polpermissive
)
select name as object, 'has row-level security off' as problem,
  format('alter table %s enable row level security', name) as command
from relation
where schema in ('app', 'auth') and relkind in ('r', 'p') and not relrowsecurity

union all
select name, format('grants %s to PUBLIC', lower(privilege)), format('revoke %s on %s from public', lower(privilege), name)
from granted
where schema in ('app', 'auth') and login is null

union all
select name, format('lets %s %s, and no policy for %2$s names it', login, lower(privilege)),
  format('revoke %s on %s from %I', lower(privilege), name, login)
from granted
where relkind in ('r', 'p') and schema in ('app', 'auth') and login is not null
  and privilege in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  and not exists (
    select from policy
    where policy.polrelid = granted.oid and policy.login = granted.login and policy.command = granted.privilege
  )

union all
select name, format('lets %s %s, which row-level security does not see', login, lower(privilege)),
  format('revoke %s on %s from %I', lower(privilege), name, login)
from granted
where login is not null and privilege not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')

union all
select distinct name,
  format(
    'is %s, which row-level security does not cover, and %s may %s it',
    case relkind when 'm' then 'a materialized view' when 'f' then 'a foreign table' when 'v' then 'a view of its owner''s' end,
    coalesce(login, 'PUBLIC'), lower(privilege)
  ),
  case
    when relkind = 'v' then format('alter view %s set (security_invoker = true)', name)
    else format('revoke all on %s from %s', name, coalesce(quote_ident(login), 'public'))
  end
from granted
where relkind in ('m', 'f') or relkind = 'v' and not is_invoker

union all
select distinct name, format('is a partition that %s reaches past its table''s policies', coalesce(login, 'PUBLIC')),
  format('revoke all on %s from %s', name, coalesce(quote_ident(login), 'public'))
from granted
where relispartition

union all
select distinct name, format('lets %s %s, which is not among its tasks', login, lower(privilege)),
  format('revoke %s on %s from %I', lower(privilege), name, login)
from granted
where privilege in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') and name <> 'public.rowhouse_migrations'
  and case login
    when 'rowhouse_api' then schema <> 'app' and not (schema = 'auth' and privilege = 'SELECT')
    when 'rowhouse_public' then schema <> 'app' or privilege <> 'SELECT'
    when 'rowhouse_auth' then schema <> 'auth'
    when 'rowhouse_system' then true
  end

union all
select format('column %I of %s', a.attname, relation.name),
  format('may be read by %s', login), format('revoke select (%I) on %s from %I', a.attname, relation.name, login)
from relation
join pg_attribute a on a.attrelid = relation.oid and a.attnum > 0 and not a.attisdropped
cross join unnest(array['rowhouse_api', 'rowhouse_public', 'rowhouse_system']) login
join pg_roles r on r.rolname = login
where case schema
    when 'auth' then split_part(relation.name, '.', 2) || '.' || a.attname <> all ($2::text[])
    when 'app' then a.attname in ('token_hash', 'credential_hash', 'state_hash')
    else false
  end
  and has_column_privilege(r.oid, relation.oid, a.attnum, 'SELECT')`

export async function findGrantProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const { rows } = await reader.query<IsolationProblem>(SQL, [LOGINS, READABLE_AUTH_COLUMNS])
  return rows
}
