/** What could be wrong with a database, the SQL that makes it so, and what the lint says to it. */
export type Defect = readonly [title: string, defect: string, finding: string]

/** Of roles and grants. */
export const DEFECTS_OF_RIGHTS: readonly Defect[] = [
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
]
