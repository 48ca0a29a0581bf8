import type { Defect } from './defects.ts'

/** Of policies, functions and keys. */
export const DEFECTS_OF_RULES: readonly Defect[] = [
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
    `create procedure app.sweep() language sql as 'select 1'; grant execute on procedure app.sweep() to public`,
    'procedure app.sweep() may be executed by PUBLIC',
  ],
  [
    'a function of auth for everyone',
    `create function auth.peek() returns int language sql as 'select 1'; grant execute on function auth.peek() to public`,
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
    'a unique key of a table that is nobody’s',
    'create table app.labels (name text unique); alter table app.labels enable row level security; grant insert on app.labels to rowhouse_api',
    'unique index labels_name_key on app.labels does not lead with the owner',
  ],
  [
    'a foreign key without the organization',
    'create unique index on app.ai_provider_configs (id); alter table app.tasks add column provider_id uuid constraint lint_fkey references app.ai_provider_configs (id)',
    'foreign key lint_fkey on app.tasks refers to app.ai_provider_configs without its owner',
  ],
  [
    'a foreign key that any user fits',
    'alter table app.tasks add column reviewer_id uuid constraint lint_fkey references auth.users (id); grant update (reviewer_id) on app.tasks to rowhouse_api',
    'foreign key lint_fkey on app.tasks tells whoever writes it whether a row of auth.users exists',
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
