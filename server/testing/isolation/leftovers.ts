// SQL that could leave state on a connection, and how to observe it. A statement that is refused unsent is
// also tried past the filter: if it leaves nothing there, the refusal would prove nothing.

/** One row with everything that a statement could notice about the connection it runs on. */
export const OBSERVATION = `select
  (select json_object_agg(name, setting) from pg_settings) as settings,
  current_user || ' ' || session_user as users,
  current_setting('app.credential', true) as credential,
  current_setting('app.organization', true) as organization,
  current_setting('app.smuggled', true) as smuggled,
  (select count(*) from pg_largeobject_metadata) as objects,
  (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
  (select count(*) from pg_listening_channels()) as channels,
  (select count(*) from pg_cursors where is_holdable) as cursors,
  (select json_agg(name) from pg_prepared_statements where name not like 'rh_%') as prepared,
  pg_my_temp_schema() as temporary,
  json_build_array('\x01'::bytea::text, interval '1 day 2 hours', 0.1::float8 / 3, '{null}'::text[]) as formats,
  to_char(now(), 'OF') as zone,
  (select json_agg(id order by id) from app.tasks) as tasks`

/** The SQL that leaves something which the next caller's statement meets, unless it is refused unsent. */
export const LASTING = [
  ['a setting of its own', `select set_config('app.smuggled', 'x', false)`],
  ['a deadline for idleness', `select set_config('idle_session_timeout', '60000', false)`],
  ['read-only transactions', `select set_config('default_transaction_read_only', 'on', false)`],
  ['serializable transactions', `select set_config('default_transaction_isolation', 'serializable', false)`],
  ['commits that wait for a standby', `select set_config('synchronous_commit', 'remote_apply', false)`],
  ['arrays without null', `select set_config('array_nulls', 'off', false)`],
  ['errors of plpgsql', `select set_config('plpgsql.extra_errors', 'all', false)`],
  ['sessions that end at an error', `select set_config('exit_on_error', 'on', false)`],
  ['plans', `select set_config('enable_indexscan', 'off', false)`],
  [
    'a setting by way of the catalog',
    `with x as (select 1) update pg_settings set setting = 'off' where name = 'enable_seqscan'`,
  ],
  ['a setting under a name in disguise', String.raw`select U&"s\0065t_config"('enable_sort', 'off', false)`],
  ['the same in small letters', String.raw`select u&"s\0065t_config"('enable_sort', 'off', false)`],
  [
    'a setting by way of XML',
    `select query_to_xml('select se' || 't_config(''enable_sort'', ''off'', false)', true, false, '')`,
  ],
  [
    'a setting by way of text search',
    `select * from ts_stat('select to_tsvector(se' || 't_config(''enable_sort'', ''off'', false))')`,
  ],
  [
    'a setting by way of rewriting a search',
    `select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, case when se' || 't_config(''enable_sort'', ''off'', false) is not null then ''b''::tsquery end')`,
  ],
  ['a lock', 'select pg_advisory_lock(1)'],
  ['a shared lock', 'select pg_try_advisory_lock_shared(1)'],
  ['a lock that is tried', 'select pg_try_advisory_lock(1)'],
  ['a large object', 'select lo_create(0)'],
  ['a large object of bytes', `select lo_from_bytea(0, 'kept')`],
  ['a setting', `set enable_sort = off`],
  ['a prepared statement', 'prepare smuggled as select 1'],
  ['a listener', 'listen smuggled'],
  ['a cursor', 'declare smuggled cursor with hold for select 1'],
  ['a block of code', `do $$ begin perform set_config('enable_sort', 'off', false); end $$`],
  ['a comment in front', `/* select */ set enable_sort = off`],
  ['an explained execution', `explain analyze select set_config('enable_sort', 'off', false)`],
] as const

/** What sign_in puts right again, or what shows in no observation; refused unsent all the same. */
export const REFUSED = [
  ['a credential', `select set_config('app.credential', 's:00', false)`],
  ['a search path', `select set_config('search_path', 'app, public', false)`],
  ['row security off', `select set_config('row_security', 'off', false)`],
  ['a date style', `select set_config('DateStyle', 'German', false)`],
  ['an output of bytes', `select set_config('bytea_output', 'escape', false)`],
  ['a time zone', `select set_config('TimeZone', 'Asia/Tokyo', false)`],
  ['a style of intervals', `select set_config('IntervalStyle', 'iso_8601', false)`],
  ['a deadline', `select set_config('statement_timeout', '1', false)`],
  ['a deadline for locks', `select set_config('lock_timeout', '1', false)`],
  ['a role', `select set_config('role', 'rowhouse_api', false)`],
  ['a lock given back', 'select pg_advisory_unlock(1)'],
  ['all locks given back', 'select pg_advisory_unlock_all()'],
  [
    'a setting by way of the catalog, behind a with',
    `with x as (update pg_catalog."pg_settings" set setting = 'off' where name = 'enable_seqscan' returning 1) select * from x`,
  ],
  ['a seed', 'select setseed(0.5)'],
  ['a limit of pg_trgm', 'select set_limit(0.1)'],
  ['a large object, written', `select lowrite(0, 'kept')`],
  ['a large object, read', `select lo_get(1)`],
  ['another session’s end', 'select pg_terminate_backend(pid) from pg_stat_activity'],
  ['another session’s statement', 'select pg_cancel_backend(pid) from pg_stat_activity'],
  ['news', `select pg_notify('rowhouse', 'x')`],
  ['a table as XML', `select table_to_xml('app.tasks', true, false, '')`],
  ['a schema as XML', `select schema_to_xml_and_xmlschema('app', true, false, '')`],
  ['another database', `select * from dblink('dbname=postgres', 'select 1') as t (id int)`],
  ['a statement in another database', `select dblink_exec('dbname=postgres', 'select 1')`],
  ['a cross table', `select * from crosstab('select 1') as t (id int)`],
  ['a cross table of two', `select * from crosstab2('select 1')`],
  ['a tree', `select * from connectby('t', 'a', 'b', 'c', 0) as t (id int)`],
  ['a table of paths', `select * from xpath_table('a', 'b', 'c', 'd', 'e') as t (id int)`],
  ['a text in disguise', String.raw`select U&'\0061'`],
  ['a reset', 'reset all'],
  ['a deallocation', 'deallocate all'],
  ['an open transaction', 'begin'],
  ['an early commit', 'commit'],
  ['an early rollback', 'rollback'],
  ['a temporary table', 'create temp table tasks (id uuid)'],
  ['a copy', 'copy app.tasks to stdout'],
  ['a copy from a program', `copy app.tasks from program 'id'`],
  ['a called procedure', 'call app.smuggled()'],
  ['an emptied table', 'truncate app.settings'],
  ['a truth', 'selected'],
] as const

/** What is sent, and refused by the server. */
export const REFUSED_BY_POSTGRES = [
  ['a temporary table from a select', 'select 1 as id into temp tasks', '42501'],
  ['a table from a select', 'select 1 as id into app.smuggled', '42501'],
  ['two statements', 'select 1; set statement_timeout = 1', '42601'],
] as const

/** Every form that is let through, however it is written. */
export const LET_THROUGH = [
  'select 1',
  '  \n(select 1)',
  'SELECT 1',
  '((select 1) union (select 2))',
  'values (1)',
  'with x as (select 1) select * from x',
  `insert into app.settings (key, value) values ('theme', '"dark"') on conflict do nothing`,
  `update app.settings set value = '"light"'`,
  'delete from app.settings',
  `merge into app.settings s using (values (1)) v (n) on false when matched then do nothing`,
] as const
