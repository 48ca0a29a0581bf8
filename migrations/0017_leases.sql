-- Leases: how a worker comes to act for one task, and how it stops.
--
-- A claim takes the next task and makes a lease. app.live_lease finds it by its credential; the task's own
-- triggers end it when the task leaves `processing` or is removed.

-- migrate:up

create table app.task_leases (
  user_id uuid not null,
  id uuid not null default app.new_id(),
  task_id uuid not null,
  credential_hash bytea not null,
  worker text not null,
  api_token_id uuid,
  session_id uuid,
  lease_seconds integer not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint task_leases_pkey primary key (user_id, id),
  constraint task_leases_credential_hash_key unique (credential_hash),
  constraint task_leases_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_leases_credential_hash_check check (octet_length(credential_hash) = 32),
  constraint task_leases_lease_seconds_check check (lease_seconds between 10 and 600)
);
comment on table app.task_leases is
  'Who works on a task, until when. Without a token and a session, it was the operator''s worker.';
create unique index task_leases_user_id_task_id_live_key on app.task_leases (user_id, task_id) where ended_at is null;
create index task_leases_user_id_task_id_idx on app.task_leases (user_id, task_id);
create index task_leases_expires_at_idx on app.task_leases (expires_at) where ended_at is null;
create index task_leases_user_id_api_token_id_idx on app.task_leases (user_id, api_token_id) where ended_at is null;
create index task_leases_user_id_session_id_idx on app.task_leases (user_id, session_id) where ended_at is null;

alter table app.task_leases enable row level security;
create policy select_owner on app.task_leases for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant select (user_id, id, task_id, worker, lease_seconds, expires_at, ended_at, created_at, updated_at)
on app.task_leases to rowhouse_api;

create trigger task_leases_touch_updated_at before update on app.task_leases
  for each row execute function app.touch_updated_at();
comment on trigger task_leases_touch_updated_at on app.task_leases is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

-- A message that its worker left unfinished fails with the lease, keeping what was written.
create function app.fail_abandoned_messages() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  message record;
  event integer;
begin
  -- The task first, as everyone does who needs both.
  perform from app.tasks t where t.user_id = new.user_id and t.id = new.task_id for update;
  if not found then
    return null;
  end if;
  for message in
    select m.id from app.task_messages m
    where m.user_id = new.user_id and m.task_id = new.task_id and m.status = 'streaming'
    order by m.seq
    for update
  loop
    update app.task_messages m
    set
      status = 'failed',
      content = coalesce(
        (
          select string_agg(d.text, '' order by d."offset") from app.task_message_deltas d
          where d.user_id = m.user_id and d.message_id = m.id
        ),
        ''
      )
    where m.user_id = new.user_id and m.id = message.id;
    update app.tasks t set last_event_seq = t.last_event_seq + 1
    where t.user_id = new.user_id and t.id = new.task_id
    returning t.last_event_seq into event;
    insert into app.task_events (user_id, task_id, seq, kind, message_id)
    values (new.user_id, new.task_id, event, 'finished', message.id);
  end loop;
  return null;
end
$$;
comment on function app.fail_abandoned_messages() is
  'Fails the messages that were still being written when their lease ended.';
create trigger task_leases_fail_abandoned_messages after update of ended_at on app.task_leases
  for each row
  when (old.ended_at is null and new.ended_at is not null)
  execute function app.fail_abandoned_messages();
comment on trigger task_leases_fail_abandoned_messages on app.task_leases is
  E'Fails the messages that a worker left unfinished when its lease ended.\n\n'
  'Nobody waits for the rest of a message that nobody writes.';

create function app.task_deadline(p_started_at timestamptz, p_options jsonb) returns timestamptz
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(p_started_at + make_interval(secs => (p_options ->> 'maxDurationSeconds')::integer), 'infinity')
$$;
comment on function app.task_deadline(timestamptz, jsonb) is
  'When a task must be over, counted from its first claim.';

create function app.is_leased(p_user_id uuid, p_task_id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from app.task_leases l
    where l.user_id = p_user_id and l.task_id = p_task_id and l.ended_at is null and l.expires_at > now()
  );
end
$$;
comment on function app.is_leased(uuid, uuid) is 'Whether somebody works on a task.';

create function app.extend_lease(out expires_at timestamptz, out is_last boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  lease record;
begin
  select * into lease from app.live_lease(current_setting('app.credential', true));
  -- Waits for whoever ends the lease at this moment, and then finds it ended.
  update app.task_leases l
  set expires_at = least(
    now() + make_interval(secs => l.lease_seconds),
    (select app.task_deadline(t.started_at, t.options) from app.tasks t where t.user_id = l.user_id and t.id = l.task_id)
  )
  where l.user_id = lease.user_id and l.id = lease.lease_id and l.ended_at is null and l.expires_at > now()
  returning l.expires_at, l.expires_at < now() + make_interval(secs => l.lease_seconds) into expires_at, is_last;
  if expires_at is null then
    raise exception 'lease_lost' using errcode = 'RH409';
  end if;
end
$$;
comment on function app.extend_lease() is
  'Prolongs the caller''s lease by its length; is_last once the task''s maximum duration leaves no room for '
  'another.';

create function app.sweep_leases() returns table (user_id uuid, task_id uuid)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with overdue as (
      select t.user_id, t.id from app.tasks t
      where t.deleted_at is null
        and t.status = 'processing'
        and app.task_deadline(t.started_at, t.options) <= now()
        and not exists (select from auth.users u where u.id = t.user_id and u.removed_at is not null)
      limit 200
      for update skip locked
    )
    update app.tasks t
    set status = 'error', error = 'the task exceeded its maximum duration', completed_at = now()
    from overdue
    where t.user_id = overdue.user_id and t.id = overdue.id
    returning t.user_id, t.id;
  return query
    with lapsed as (
      -- The task first, as everyone does who needs both.
      select l.user_id, l.id from app.task_leases l
      join app.tasks t on t.user_id = l.user_id and t.id = l.task_id
      where l.ended_at is null and l.expires_at <= now()
        and not exists (select from auth.users u where u.id = l.user_id and u.removed_at is not null)
      limit 200
      for update of t skip locked
    )
    update app.task_leases l set ended_at = l.expires_at
    from lapsed
    where l.user_id = lapsed.user_id and l.id = lapsed.id and l.ended_at is null and l.expires_at <= now()
    returning l.user_id, l.task_id;
end
$$;
comment on function app.sweep_leases() is
  'Ends leases that have lapsed and tasks past their maximum duration, and returns the tasks concerned.';

grant execute on function app.extend_lease to rowhouse_api;
grant execute on function app.sweep_leases to rowhouse_system;

-- migrate:down

drop table app.task_leases;
drop function
  app.fail_abandoned_messages, app.task_deadline, app.is_leased, app.extend_lease, app.sweep_leases;
