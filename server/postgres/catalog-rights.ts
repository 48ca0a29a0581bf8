import type { ClientBase } from 'pg'

/**
 * Postgres functions that everyone may execute, and with which a login could keep data outside of all tables,
 * take the locks of migrations, end the statements of other callers, or watch their activity.
 */
const FUNCTIONS = `
  p.proname ~ '^(lo_.*|loread|lowrite)$'
  or p.proname ~ '^pg_(try_)?advisory_.*'
  or p.proname in ('pg_cancel_backend', 'pg_terminate_backend')
  or p.proname ~ '^pg_stat_get_(?!xact_)'`

/** Except the views of one's own transaction. */
const VIEWS = `c.relname ~ '^pg_(stat|statio)_(?!xact_)' and c.relkind = 'v'`

/**
 * The roles that keep the right: the database's owner, and roles that an operator lets watch or end sessions.
 */
const TRUSTED = 'pg_database_owner, pg_monitor, pg_signal_backend'

/**
 * Revokes from everyone in this database the functions and views that no application needs. Only a superuser
 * may; for another owner this does nothing, and docs/security.md lists what stays open. Idempotent.
 */
export async function closeCatalog(owner: Pick<ClientBase, 'query'>): Promise<void> {
  const { rows } = await owner.query<{ statement: string }>(
    `with open as (
       select 'execute' as privilege, 'function ' || p.oid::regprocedure as name
       from pg_catalog.pg_proc p
       where p.pronamespace = 'pg_catalog'::regnamespace and (${FUNCTIONS})
         and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) where grantee = 0)
       union all
       select 'select', c.oid::regclass::text
       from pg_catalog.pg_class c
       where c.relnamespace = 'pg_catalog'::regnamespace and ${VIEWS}
         and exists (select from aclexplode(c.relacl) where grantee = 0)
     )
     select format('revoke %1$s on %2$s from public; grant %1$s on %2$s to ${TRUSTED}', privilege, name) as statement
     from open
     where (select rolsuper from pg_catalog.pg_roles where rolname = current_user)`,
  )
  if (rows.length > 0) await owner.query(rows.map(({ statement }) => statement).join('; '))
}
