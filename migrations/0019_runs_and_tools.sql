-- Agent runs with their tool calls, and the catalogue of tools.
--
-- A run and its calls belong to a user, perhaps to a task of theirs; a lease sees those of its own task. A
-- call's arguments are hashed (SHA-256 of their canonical JSON, RFC 8785), so that an approval can be bound
-- to them. The catalogue is everyone's to read and nobody's to write but migrations' and the operator's.
--
-- Whether a call waits for approval is decided here, by triggers, and not by whoever records it: the API's
-- login names no status for a new call, and may only end one that is running. What moves a call out of
-- awaiting_approval is a function of the owner's.

-- migrate:up

create table app.tools (
  id uuid not null default app.new_id(),
  slug text not null,
  name text not null,
  description text not null,
  category text not null,
  tags text[] not null default '{}',
  input_schema jsonb not null,
  config_schema jsonb not null default '{"type": "object", "properties": {}, "additionalProperties": false}',
  requires_approval boolean not null default false,
  requires_connection app.connection_provider,
  is_enabled boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint tools_pkey primary key (id),
  constraint tools_slug_key unique (slug),
  constraint tools_category_check check (category in ('files', 'shell', 'code', 'web', 'messaging', 'project'))
);
comment on table app.tools is 'The catalogue of tools that agents may call.';

alter table app.tools enable row level security;
create policy select_everyone on app.tools for select to rowhouse_api
  using (is_enabled);
create policy select_everyone_public on app.tools for select to rowhouse_public
  using (is_enabled);
grant select on app.tools to rowhouse_api, rowhouse_public;

create trigger tools_touch_updated_at before update on app.tools
  for each row execute function app.touch_updated_at();
comment on trigger tools_touch_updated_at on app.tools is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.user_tools (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  tool_id uuid not null,
  is_enabled boolean not null default true,
  config jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint user_tools_pkey primary key (user_id, id),
  constraint user_tools_user_id_tool_id_key unique (user_id, tool_id),
  constraint user_tools_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint user_tools_tool_id_fkey foreign key (tool_id) references app.tools (id) on delete cascade
);
comment on table app.user_tools is 'Which tools a user has enabled, and how they are set up for them.';
create index user_tools_tool_id_idx on app.user_tools (tool_id);

alter table app.user_tools enable row level security;
create policy select_owner on app.user_tools for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.user_tools for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.user_tools for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
grant select, insert (tool_id, is_enabled, config), update (is_enabled, config) on app.user_tools to rowhouse_api;

create trigger user_tools_touch_updated_at before update on app.user_tools
  for each row execute function app.touch_updated_at();
comment on trigger user_tools_touch_updated_at on app.user_tools is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.agent_runs (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  task_id uuid,
  agent text not null,
  model text,
  provider text,
  status text not null default 'running',
  input jsonb,
  output jsonb,
  usage jsonb,
  error text,
  started_at timestamptz default now(),
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint agent_runs_pkey primary key (user_id, id),
  constraint agent_runs_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint agent_runs_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint agent_runs_status_check
    check (status in ('queued', 'running', 'waiting', 'completed', 'failed', 'cancelled'))
);
comment on table app.agent_runs is 'One run of an agent: what it was given, what came out, what it cost.';
create index agent_runs_user_id_task_id_id_idx on app.agent_runs (user_id, task_id, id desc);
create index agent_runs_user_id_status_id_idx on app.agent_runs (user_id, status, id desc);

alter table app.agent_runs enable row level security;
create policy select_owner on app.agent_runs for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );
create policy insert_owner on app.agent_runs for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.agent_runs for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy insert_lease on app.agent_runs for insert to rowhouse_api
  with check (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()));
create policy update_lease on app.agent_runs for update to rowhouse_api
  using (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()))
  with check (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()));
grant
  select,
  insert (task_id, agent, model, provider, input),
  update (status, output, usage, error, finished_at)
on app.agent_runs to rowhouse_api;

create trigger agent_runs_touch_updated_at before update on app.agent_runs
  for each row execute function app.touch_updated_at();
comment on trigger agent_runs_touch_updated_at on app.agent_runs is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.tool_calls (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  run_id uuid not null,
  call_id text not null,
  tool text not null,
  arguments jsonb not null,
  arguments_hash bytea not null,
  result jsonb,
  error text,
  status text not null default 'pending',
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint tool_calls_pkey primary key (user_id, id),
  constraint tool_calls_user_id_run_id_call_id_key unique (user_id, run_id, call_id),
  constraint tool_calls_user_id_run_id_fkey foreign key (user_id, run_id)
    references app.agent_runs (user_id, id) on delete cascade,
  constraint tool_calls_status_check
    check (status in ('pending', 'awaiting_approval', 'running', 'succeeded', 'failed', 'denied')),
  constraint tool_calls_arguments_hash_check check (octet_length(arguments_hash) = 32)
);
comment on table app.tool_calls is 'The tools that a run called, with what they were given and gave back.';
create index tool_calls_user_id_run_id_id_idx on app.tool_calls (user_id, run_id, id);

alter table app.tool_calls enable row level security;
create policy select_owner on app.tool_calls for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case
      when (select app.holds_lease()) then exists (select from app.agent_runs r where r.user_id = tool_calls.user_id and r.id = tool_calls.run_id)
      else true
    end
  );
create policy insert_owner on app.tool_calls for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.tool_calls for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy insert_lease on app.tool_calls for insert to rowhouse_api
  with check (
    user_id = (select app.leased_user_id())
    and exists (select from app.agent_runs r where r.user_id = tool_calls.user_id and r.id = tool_calls.run_id)
  );
create policy update_lease on app.tool_calls for update to rowhouse_api
  using (
    user_id = (select app.leased_user_id())
    and exists (select from app.agent_runs r where r.user_id = tool_calls.user_id and r.id = tool_calls.run_id)
  )
  with check (
    user_id = (select app.leased_user_id())
    and exists (select from app.agent_runs r where r.user_id = tool_calls.user_id and r.id = tool_calls.run_id)
  );
grant
  select,
  insert (run_id, call_id, tool, arguments, arguments_hash),
  update (status, result, error, finished_at)
on app.tool_calls to rowhouse_api;

create trigger tool_calls_touch_updated_at before update on app.tool_calls
  for each row execute function app.touch_updated_at();
comment on trigger tool_calls_touch_updated_at on app.tool_calls is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

-- Reads the whole catalogue: a tool that the operator took out of it needs approval as before.
create function app.start_tool_call() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from app.tools t where t.slug = lower(new.tool) and t.requires_approval) then
    new.status := 'awaiting_approval';
    new.started_at := null;
  else
    new.status := 'running';
    new.started_at := now();
  end if;
  return new;
end
$$;
comment on function app.start_tool_call() is
  'Lets a new call run, or wait for approval where the catalogue says so.';
create trigger tool_calls_start before insert on app.tool_calls
  for each row execute function app.start_tool_call();
comment on trigger tool_calls_start on app.tool_calls is
  E'Lets a new tool call run, or wait for approval where the catalogue says so.\n\n'
  'Whether a call needs approval is not for whoever makes the call to say.';

-- Runs as whoever changes the row: a security definer function of the owner's passes.
create function app.keep_tool_call_transition() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_user = 'rowhouse_api' and not (old.status = 'running' and new.status in ('succeeded', 'failed')) then
    raise exception 'a tool call that is % does not become %', old.status, new.status
      using errcode = 'check_violation', constraint = 'tool_calls_transition_check', table = 'tool_calls', schema = 'app';
  end if;
  return new;
end
$$;
comment on function app.keep_tool_call_transition() is
  'Lets the API end calls that are running, and change no other.';
create trigger tool_calls_keep_transition before update on app.tool_calls
  for each row
  when (
    (old.status, old.result, old.error, old.finished_at)
    is distinct from (new.status, new.result, new.error, new.finished_at)
  )
  execute function app.keep_tool_call_transition();
comment on trigger tool_calls_keep_transition on app.tool_calls is
  E'Lets the API end tool calls that are running, and change no other.\n\n'
  'A call that waits for approval is moved on by a decision alone.';

-- migrate:down

drop table app.tool_calls, app.agent_runs, app.user_tools, app.tools;
drop function app.start_tool_call, app.keep_tool_call_transition;
