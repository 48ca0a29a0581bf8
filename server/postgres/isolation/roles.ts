import { LOGINS } from '../login-names.ts'
import type { CatalogReader, IsolationProblem } from './problem.ts'

// Checks the attributes of a login: rights that no policy can take away.

const SQL = `
with login as (
  select r.rolname::text as name, r.* from pg_roles r where r.rolname = any ($1)
),
db as (
  select d.*, pg_get_userbyid(d.datdba)::text as owner from pg_database d where d.datname = current_database()
)
select wanted as object, 'does not exist' as problem, 'npx kysely-migrate up --latest' as command
from unnest($1::text[]) wanted
where not exists (select from login where login.name = wanted)

union all
select login.name, 'has the power ' || power.name, format('alter role %I no%s', login.name, power.name)
from login,
  lateral (values
    ('superuser', rolsuper), ('bypassrls', rolbypassrls), ('createrole', rolcreaterole), ('createdb', rolcreatedb),
    ('replication', rolreplication)
  ) power (name, has)
where power.has

union all
select login.name, format('is a member of %s, and may act as that role', m.roleid::regrole),
  format('revoke %s from %I', m.roleid::regrole, login.name)
from login join pg_auth_members m on m.member = login.oid

union all
select login.name, 'owns ' || pg_describe_object(d.classid, d.objid, d.objsubid)
    || ', and row-level security does not bind an owner',
  format('reassign owned by %I to %I', login.name, db.owner)
from login
join pg_shdepend d on d.refclassid = 'pg_authid'::regclass and d.refobjid = login.oid and d.deptype = 'o'
cross join db
where (d.dbid = db.oid or d.classid = 'pg_database'::regclass and d.objid = db.oid)
  -- A large object is nobody's row, and where no superuser migrates, whoever runs SQL can make one.
  and d.classid <> 'pg_largeobject'::regclass

union all
select 'database ' || quote_ident(db.datname),
  format(
    'lets %s create %s',
    coalesce(login.name, 'PUBLIC'),
    case acl.privilege_type when 'TEMPORARY' then 'temporary tables, which outlive a statement' else 'schemas' end
  ),
  format('revoke %s on database %I from %s', lower(acl.privilege_type), db.datname, coalesce(login.name, 'public'))
from db
cross join lateral aclexplode(coalesce(db.datacl, acldefault('d', db.datdba))) acl
left join login on login.oid = acl.grantee
where acl.privilege_type in ('TEMPORARY', 'CREATE') and (acl.grantee = 0 or login.oid is not null)

union all
select 'schema ' || quote_ident(n.nspname), format('lets %s create objects', coalesce(login.name, 'PUBLIC')),
  format('revoke create on schema %I from %s', n.nspname, coalesce(login.name, 'public'))
from pg_namespace n
cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
left join login on login.oid = acl.grantee
where acl.privilege_type = 'CREATE' and (acl.grantee = 0 or login.oid is not null)`

export async function findRoleProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const { rows } = await reader.query<IsolationProblem>(SQL, [LOGINS])
  return rows
}
