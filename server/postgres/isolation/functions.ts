import { LOGINS } from '../login-names.ts'
import type { CatalogReader, IsolationProblem } from './problem.ts'

// Security definer functions act as the owner and bypass policies: checks who may call them, and how their
// names resolve.

const SQL = `
with func as (
  select
    p.oid, n.nspname::text as schema, p.prosecdef, p.proacl, p.proowner,
    format('%s %s', case p.prokind when 'p' then 'procedure' else 'function' end, p.oid::regprocedure) as name,
    (
      select regexp_split_to_array(substr(setting, length('search_path=') + 1), '\\s*,\\s*')
      from unnest(p.proconfig) setting where setting like 'search_path=%'
    ) as search_path
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%' and p.prokind in ('f', 'p')
    and not exists (
      select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    )
)
select name as object,
  case
    when search_path is null then 'is security definer and pins no search_path'
    else 'is security definer and does not put pg_temp last in its search_path, which puts it first'
  end as problem,
  format('alter %s set search_path = pg_catalog, pg_temp', name) as command
from func
where schema in ('app', 'auth') and prosecdef
  and (search_path is null or search_path[cardinality(search_path)] <> 'pg_temp')

union all
select name, 'may be executed by PUBLIC', format('revoke execute on %s from public', name)
from func
where schema in ('app', 'auth') and exists (
  select from aclexplode(coalesce(proacl, acldefault('f', proowner))) acl where acl.grantee = 0
)

union all
select name, format('is security definer outside of the schema app, and %s may execute it', login),
  format('revoke execute on %s from public, %I', name, login)
from func
cross join unnest($1::text[]) login
join pg_roles r on r.rolname = login
where prosecdef and schema <> 'app' and has_function_privilege(r.oid, func.oid, 'EXECUTE')
  and has_schema_privilege(r.oid, schema, 'USAGE')`

export async function findFunctionProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const { rows } = await reader.query<IsolationProblem>(SQL, [LOGINS])
  return rows
}
