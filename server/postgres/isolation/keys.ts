import { LOGINS } from '../login-names.ts'
import { type CatalogReader, type IsolationProblem, RIGHTS } from './problem.ts'

// Unique and foreign keys bypass row-level security. A key without the owner lets a caller learn that another
// user's row exists, reference it, or block its removal.

const SQL = `
with ${RIGHTS},
tables as (
  select
    c.oid, n.nspname::text as schema, format('%I.%I', n.nspname, c.relname) as name,
    exists (
      select from pg_attribute a
      where a.attrelid = c.oid and a.attname in ('user_id', 'organization_id') and not a.attisdropped
    ) as is_owned,
    exists (select from rights where rights.relid = c.oid and login <> 'rowhouse_auth') as is_reached,
    exists (
      select from rights
      where rights.relid = c.oid and login <> 'rowhouse_auth' and privilege in ('INSERT', 'UPDATE')
    ) as is_written
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('app', 'auth') and c.relkind in ('r', 'p')
),
references_ as (
  select
    k.oid, k.conname, local.name as "table", local.schema, target.name as target, target.is_owned,
    array(
      select a.attname || '>' || b.attname
      from unnest(k.conkey, k.confkey) pair (local, target)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.local
      join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.target
    ) as pairs,
    exists (
      select from unnest(k.conkey) col, pg_roles r
      where r.rolname = any ($1) and r.rolname <> 'rowhouse_auth' and (
        has_column_privilege(r.oid, k.conrelid, col, 'INSERT') or has_column_privilege(r.oid, k.conrelid, col, 'UPDATE')
      )
    ) as is_written
  from pg_constraint k
  join tables local on local.oid = k.conrelid
  join tables target on target.oid = k.confrelid
  where k.contype = 'f'
)
select format('unique index %I on %s', i.relname, tables.name) as object,
  'does not lead with the owner, and so tells whether another user''s row exists' as problem,
  format('drop it and make a unique index on %s that leads with user_id or organization_id', tables.name) as command
from pg_index x
join pg_class i on i.oid = x.indexrelid
join tables on tables.oid = x.indrelid
where x.indisunique
  and (tables.is_written or tables.schema = 'app' and tables.is_owned and tables.is_reached)
  and pg_get_indexdef(x.indexrelid, 1, true) not in ('user_id', 'organization_id')
  and pg_get_indexdef(x.indexrelid, 1, true) not like '%\\_hash'

union all
select format('foreign key %I on %s', conname, "table"),
  format('refers to %s without its owner, and so past its policies', target),
  format('alter table %s drop constraint %I, and add one that holds user_id or organization_id', "table", conname)
from references_
where is_owned and not pairs && array['user_id>user_id', 'organization_id>organization_id']

union all
select format('foreign key %I on %s', conname, "table"),
  format('tells whoever writes it whether a row of %s exists', target),
  format('alter table %s drop constraint %I, and refer to auth.members (organization_id, user_id)', "table", conname)
from references_
where not is_owned and is_written and target in ('auth.users', 'auth.organizations')`

export async function findKeyProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const { rows } = await reader.query<IsolationProblem>(SQL, [LOGINS])
  return rows
}
