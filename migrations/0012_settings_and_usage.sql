-- A user's settings, their daily quotas, and the counters that limit rates over all processes.
--
-- A quota is taken by app.take_quota inside the statement that creates the row: its upsert locks the day's
-- counter, so parallel creates queue on it, and past the limit it raises and everything rolls back. Nobody
-- may write the counter otherwise, so deleting what was created gives nothing back.

-- migrate:up

create table app.settings (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  key text not null,
  value jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint settings_pkey primary key (user_id, id),
  constraint settings_user_id_key_key unique (user_id, key),
  constraint settings_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table app.settings is
  'What a user has set, by key; which keys exist and what they hold is known to the code.';

alter table app.settings enable row level security;
create policy select_owner on app.settings for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.settings for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.settings for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy delete_owner on app.settings for delete to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant select, insert (key, value), update (value), delete on app.settings to rowhouse_api;

create trigger settings_touch_updated_at before update on app.settings
  for each row execute function app.touch_updated_at();
comment on trigger settings_touch_updated_at on app.settings is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.daily_usage (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  day date not null,
  tasks integer not null default 0,
  messages integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint daily_usage_pkey primary key (user_id, id),
  constraint daily_usage_user_id_day_key unique (user_id, day),
  constraint daily_usage_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table app.daily_usage is 'What a user created on a day (UTC), counted against their quotas.';

alter table app.daily_usage enable row level security;
create policy select_owner on app.daily_usage for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant select on app.daily_usage to rowhouse_api;

create trigger daily_usage_touch_updated_at before update on app.daily_usage
  for each row execute function app.touch_updated_at();
comment on trigger daily_usage_touch_updated_at on app.daily_usage is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.take_quota(p_kind text, p_operator_limit integer) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  owner uuid := app.current_user_id();
  today date := (now() at time zone 'UTC')::date;
  allowed integer;
  used integer;
begin
  if owner is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;
  select least(p_operator_limit, min((s.value #>> '{}')::integer))
  into allowed
  from app.settings s
  where s.user_id = owner
    and s.key = case p_kind when 'tasks' then 'maxTasksPerDay' when 'messages' then 'maxMessagesPerDay' end
    and jsonb_typeof(s.value) = 'number';
  case p_kind
    when 'tasks' then
      insert into app.daily_usage as u (user_id, day, tasks) values (owner, today, 1)
      on conflict (user_id, day) do update set tasks = u.tasks + 1
      returning u.tasks into used;
    when 'messages' then
      insert into app.daily_usage as u (user_id, day, messages) values (owner, today, 1)
      on conflict (user_id, day) do update set messages = u.messages + 1
      returning u.messages into used;
  end case;
  if used > allowed then
    raise exception 'daily_quota' using
      errcode = 'RH429',
      detail = to_char((today + 1)::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
  end if;
  return used;
end
$$;
comment on function app.take_quota(text, integer) is
  'Counts one task or message of today and raises RH429 past the limit, which a user''s own setting can '
  'only lower.';

create table app.rate_limits (
  key text not null,
  count integer not null default 1,
  window_started_at timestamptz not null default now(),
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint rate_limits_pkey primary key (key)
);
comment on table app.rate_limits is
  'Counters of calls by key and window. No login reads or writes it but through app.take_rate_limit.';
create index rate_limits_expires_at_idx on app.rate_limits (expires_at);

alter table app.rate_limits enable row level security;

create trigger rate_limits_touch_updated_at before update on app.rate_limits
  for each row execute function app.touch_updated_at();
comment on trigger rate_limits_touch_updated_at on app.rate_limits is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.take_rate_limit(
  p_key text,
  p_limit integer,
  p_window_seconds integer,
  out is_allowed boolean,
  out retry_after_seconds integer
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  used integer;
  ends timestamptz;
begin
  insert into app.rate_limits as r (key, expires_at)
  values (p_key, now() + make_interval(secs => p_window_seconds))
  on conflict (key) do update set
    count = case when r.expires_at <= now() then 1 else r.count + 1 end,
    window_started_at = case when r.expires_at <= now() then now() else r.window_started_at end,
    expires_at = case when r.expires_at <= now() then excluded.expires_at else r.expires_at end
  returning r.count, r.expires_at into used, ends;
  is_allowed := used <= p_limit;
  retry_after_seconds := case when is_allowed then 0 else greatest(1, ceil(extract(epoch from ends - now()))::integer) end;
end
$$;
comment on function app.take_rate_limit(text, integer, integer) is
  'Counts one call under a key and tells whether it is within its limit; one window holds over all '
  'processes.';

create function app.take_turn(
  p_key text,
  p_first_seconds integer,
  p_longest_seconds integer,
  out retry_after_seconds integer
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  turns integer;
  set_at timestamptz;
  begins timestamptz;
begin
  insert into app.rate_limits as r (key, expires_at)
  values (p_key, now() + make_interval(secs => p_first_seconds))
  on conflict (key) do update set
    count = case when r.expires_at > now() then r.count else r.count + 1 end,
    window_started_at = case when r.expires_at > now() then r.window_started_at else now() end,
    expires_at = case
      when r.expires_at > now() then r.expires_at
      else now() + make_interval(secs => least(p_longest_seconds, p_first_seconds * 2.0 ^ least(r.count, 20)))
    end
  returning r.count, r.window_started_at, r.expires_at into turns, set_at, begins;
  -- Moved by this call, and not made by it: the wait was over.
  retry_after_seconds := case
    when turns > 1 and set_at = now() then 0
    else greatest(1, ceil(extract(epoch from begins - now()))::integer)
  end;
end
$$;
comment on function app.take_turn(text, integer, integer) is
  'Lets a key through once its wait is over, which nobody else can make longer, and doubles the wait for '
  'the next turn. Returns 0, or the seconds that are left.';

create function app.sweep_rate_limits() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  swept integer;
begin
  delete from app.rate_limits r
  where r.key in (
    select old.key from app.rate_limits old
    where old.expires_at < now() - interval '1 hour'
    order by old.expires_at
    limit 1000
    for update skip locked
  );
  get diagnostics swept = row_count;
  return swept;
end
$$;
comment on function app.sweep_rate_limits() is
  'Removes counters whose window is long over and returns how many.';

grant execute on function app.take_quota to rowhouse_api;
grant execute on function app.take_rate_limit, app.take_turn, app.sweep_rate_limits to rowhouse_system;

-- migrate:down

drop table app.rate_limits, app.daily_usage, app.settings;
drop function app.take_quota, app.take_rate_limit, app.take_turn, app.sweep_rate_limits;
