/** What could be wrong with a database, the SQL that makes it so, and what the lint says to it. */
export const DEFECTS: [title: string, defect: string, finding: string][] = [
  // Roles
  ['a superuser', 'alter role rowhouse_api superuser', 'rowhouse_api has the power superuser'],
  ['a login past policies', 'alter role rowhouse_auth bypassrls', 'rowhouse_auth has the power bypassrls'],
  [
    'a login that makes roles',
    'alter role rowhouse_public createrole',
    'rowhouse_public has the power createrole',
  ],
  [
    'a login that makes databases',
    'alter role rowhouse_system createdb',
    'rowhouse_system has the power createdb',
  ],
  [
    'a login that replicates',
    'alter role rowhouse_public replication',
    'rowhouse_public has the power replication',
  ],
  ['a missing login', 'alter role rowhouse_public rename to lint_public', 'rowhouse_public does not exist'],
  [
    'a member of another role',
    'create role lint_boss; grant lint_boss to rowhouse_api',
    'rowhouse_api is a member of lint_boss',
  ],
  [
    'an owner of the database',
    `do $$ begin execute format('alter database %I owner to rowhouse_api', current_database()); end $$`,
    'rowhouse_api owns database',
  ],
  ['an owner of a schema', 'alter schema app owner to rowhouse_system', 'rowhouse_system owns schema app'],
  ['an owner of a table', 'alter table app.tasks owner to rowhouse_api', 'rowhouse_api owns table app.tasks'],
  [
    'an owner of a function',
    'alter function app.current_user_id() owner to rowhouse_api',
    'rowhouse_api owns function app.current_user_id()',
  ],
  [
    'temporary tables for all',
    `do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$`,
    'lets PUBLIC create temporary tables',
  ],
  [
    'temporary tables for a login',
    `do $$ begin execute format('grant temporary on database %I to rowhouse_api', current_database()); end $$`,
    'lets rowhouse_api create temporary tables',
  ],
  [
    'new schemas by a login',
    `do $$ begin execute format('grant create on database %I to rowhouse_auth', current_database()); end $$`,
    'lets rowhouse_auth create schemas',
  ],
  [
    'new objects by all',
    'grant create on schema public to public',
    'schema public lets PUBLIC create objects',
  ],
  [
    'new objects by a login',
    'grant create on schema app to rowhouse_api',
    'schema app lets rowhouse_api create objects',
  ],
  // Grants
  [
    'a table without row-level security',
    'alter table app.rate_limits disable row level security',
    'app.rate_limits has row-level security off',
  ],
  ['a new table', 'create table app.notes (user_id uuid)', 'app.notes has row-level security off'],
  ['a table for everyone', 'grant select on app.tasks to public', 'app.tasks grants select to PUBLIC'],
  [
    'a column for everyone',
    'grant select (title) on app.tasks to public',
    'app.tasks grants select to PUBLIC',
  ],
  [
    'a right without a policy',
    'grant delete on app.tasks to rowhouse_api',
    'app.tasks lets rowhouse_api delete, and no policy for delete names it',
  ],
  [
    'a right to a column without a policy',
    'grant update (day) on app.daily_usage to rowhouse_api',
    'app.daily_usage lets rowhouse_api update, and no policy for update names it',
  ],
  ['truncate', 'grant truncate on app.tasks to rowhouse_api', 'app.tasks lets rowhouse_api truncate'],
  [
    'references',
    'grant references (id) on app.tasks to rowhouse_public',
    'app.tasks lets rowhouse_public references',
  ],
  ['triggers', 'grant trigger on app.tasks to rowhouse_api', 'app.tasks lets rowhouse_api trigger'],
  [
    'a materialized view',
    'create materialized view app.all_tasks as select * from app.tasks; grant select on app.all_tasks to rowhouse_api',
    'app.all_tasks is a materialized view',
  ],
  [
    'a view of its owner’s',
    'create view app.all_tasks as select * from app.tasks; grant select on app.all_tasks to rowhouse_api',
    "app.all_tasks is a view of its owner's",
  ],
  [
    'a foreign table',
    'create foreign data wrapper lint; create server lint foreign data wrapper lint; create foreign table app.far (user_id uuid) server lint; grant select on app.far to rowhouse_api',
    'app.far is a foreign table',
  ],
  [
    'a materialized view for everyone',
    'create materialized view public.all_tasks as select * from app.tasks; grant select on public.all_tasks to public',
    'public.all_tasks is a materialized view, which row-level security does not cover, and PUBLIC may select it',
  ],
  [
    'a view outside of our schemas',
    'create view public.all_tasks as select * from app.tasks; grant select on public.all_tasks to public',
    "public.all_tasks is a view of its owner's",
  ],
  [
    'a partition',
    'create table app.parts (user_id uuid) partition by hash (user_id); create table app.part partition of app.parts for values with (modulus 1, remainder 0); grant select on app.part to rowhouse_api',
    'app.part is a partition',
  ],
  [
    'the system login reading',
    'grant select on app.tasks to rowhouse_system',
    'app.tasks lets rowhouse_system select, which is not among its tasks',
  ],
  [
    'the public login writing',
    'grant insert on app.tasks to rowhouse_public',
    'app.tasks lets rowhouse_public insert, which is not among its tasks',
  ],
  [
    'the auth login in app',
    'grant select on app.tasks to rowhouse_auth',
    'app.tasks lets rowhouse_auth select, which is not among its tasks',
  ],
  [
    'the API writing users',
    'grant update (name) on auth.users to rowhouse_api',
    'auth.users lets rowhouse_api update, which is not among its tasks',
  ],
  [
    'the API reading sessions',
    'grant select (token) on auth.sessions to rowhouse_api',
    'column token of auth.sessions may be read by rowhouse_api',
  ],
  [
    'the API reading mail addresses',
    'grant select (email) on auth.users to rowhouse_api',
    'column email of auth.users may be read by rowhouse_api',
  ],
  [
    'the API reading hashes of tokens',
    'grant select on app.api_tokens to rowhouse_api',
    'column token_hash of app.api_tokens may be read by rowhouse_api',
  ],
  [
    'the API reading hashes of leases',
    'grant select (credential_hash) on app.task_leases to rowhouse_api',
    'column credential_hash of app.task_leases may be read by rowhouse_api',
  ],
  [
    'the API reading hashes of states',
    'grant select on app.oauth_states to rowhouse_api',
    'column state_hash of app.oauth_states may be read by rowhouse_api',
  ],
  [
    'the public login reading names',
    'grant usage on schema auth to rowhouse_public; grant select (email) on auth.users to rowhouse_public',
    'column email of auth.users may be read by rowhouse_public',
  ],
  [
    'the public login reading another schema',
    'create table public.notes (id int); grant select on public.notes to rowhouse_public',
    'public.notes lets rowhouse_public select, which is not among its tasks',
  ],
  [
    'the API reading another schema',
    'create table public.notes (id int); grant select on public.notes to rowhouse_api',
    'public.notes lets rowhouse_api select, which is not among its tasks',
  ],
  // Policies
  [
    'a policy for every role',
    'alter policy select_owner on app.tasks to public',
    'policy select_owner on app.tasks names no role',
  ],
  [
    'a policy that is true',
    'alter policy select_owner on app.tasks using (true)',
    'policy select_owner on app.tasks has a "using" that is always true',
  ],
  [
    'a policy that is true in part',
    'alter policy select_owner on app.tasks using (user_id = (select app.current_user_id()) or true)',
    'has a "using" that is always true',
  ],
  [
    'a check that is true',
    'alter policy update_owner on app.tasks with check (true)',
    'policy update_owner on app.tasks has a "with check" that is always true',
  ],
  [
    'a policy that is true in its first part',
    'alter policy select_owner on app.tasks using (true or user_id = (select app.current_user_id()))',
    'has a "using" that is always true',
  ],
  [
    'a check that asks for nobody',
    'alter policy update_owner on app.tasks with check (user_id is not null)',
    'policy update_owner on app.tasks has a "with check" that does not ask who the caller is',
  ],
  [
    'a policy of auth that asks for nobody',
    'alter policy select_known on auth.users using (id is not null)',
    'policy select_known on auth.users has a "using" that does not ask who the caller is',
  ],
  [
    'an insert without a check',
    'drop policy insert_owner on app.tasks; create policy insert_owner on app.tasks for insert to rowhouse_api',
    'policy insert_owner on app.tasks does not spell out "with check"',
  ],
  [
    'a policy for all commands without a check',
    'create policy everything on app.tasks to rowhouse_api using (user_id = (select app.current_user_id()))',
    'policy everything on app.tasks does not spell out "with check"',
  ],
  [
    'a policy that asks for nobody',
    'alter policy select_owner on app.tasks using (user_id is not null)',
    'does not ask who the caller is',
  ],
  [
    'a policy that opens without a caller',
    'alter policy select_owner on app.tasks using ((select app.current_user_id()) is null or user_id = (select app.current_user_id()))',
    '"is null or"',
  ],
  [
    'the same the other way round',
    'alter policy select_owner on app.tasks using (user_id = (select app.current_user_id()) or organization_id is null)',
    '"is null or"',
  ],
  [
    'a policy without a check',
    'drop policy update_owner on app.tasks; create policy update_owner on app.tasks for update to rowhouse_api using (user_id = (select app.current_user_id()))',
    'policy update_owner on app.tasks does not spell out "with check"',
  ],
  [
    'a call for every row',
    'alter policy select_owner on app.tasks using (user_id = app.current_user_id())',
    'calls app.current_user_id() for every row',
  ],
  [
    'a policy of auth that is true',
    'alter policy select_known on auth.users using (true)',
    'policy select_known on auth.users has a "using" that is always true',
  ],
  // Functions
  [
    'a definer function that pins nothing',
    'alter function app.current_user_id() reset search_path',
    'function app.current_user_id() is security definer and pins no search_path',
  ],
  [
    'a definer function that reads temporary tables first',
    'alter function app.current_user_id() set search_path = pg_catalog',
    'function app.current_user_id() is security definer and does not put pg_temp last',
  ],
  [
    'a function for everyone',
    'grant execute on function app.remove_account() to public',
    'function app.remove_account() may be executed by PUBLIC',
  ],
  [
    'a procedure for everyone',
    `create procedure app.sweep() language sql as 'select 1'`,
    'procedure app.sweep() may be executed by PUBLIC',
  ],
  [
    'a function of auth for everyone',
    `create function auth.peek() returns int language sql as 'select 1'`,
    'function auth.peek() may be executed by PUBLIC',
  ],
  [
    'a definer function elsewhere',
    `create function public.peek() returns setof app.tasks language sql security definer as 'select * from app.tasks'; grant execute on function public.peek() to public`,
    'function peek() is security definer outside of the schema app, and rowhouse_api may execute it',
  ],
  // Keys
  [
    'a unique key without the owner',
    'alter table app.settings add constraint settings_key_key unique (key)',
    'unique index settings_key_key on app.settings does not lead with the owner',
  ],
  [
    'a unique index of an expression',
    'create unique index tasks_title on app.tasks (lower(title))',
    'unique index tasks_title on app.tasks does not lead with the owner',
  ],
  [
    'a unique key without the owner on what the API writes nowhere',
    'create unique index lint_day on app.daily_usage (day)',
    'unique index lint_day on app.daily_usage does not lead with the owner',
  ],
  [
    'a foreign key without the owner',
    'create unique index on app.tasks (id); alter table app.task_logs add constraint task_logs_task_id_fkey foreign key (task_id) references app.tasks (id)',
    'foreign key task_logs_task_id_fkey on app.task_logs refers to app.tasks without its owner',
  ],
  [
    'a foreign key that any organization fits',
    'alter table app.tasks add constraint tasks_organization_id_fkey foreign key (organization_id) references auth.organizations (id)',
    'foreign key tasks_organization_id_fkey on app.tasks tells whoever writes it',
  ],
]
