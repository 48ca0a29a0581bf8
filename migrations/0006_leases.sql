-- Leases: how a worker comes to act for one task, and how it stops.
--
-- A claim takes the next task and makes a lease: a credential ('l:<hex>') that opens that one task, as its owner, and nothing
-- else. app.sign_in refuses it once it has ended, lapsed or lost the credential it was claimed with, so whatever a stale worker
-- still sends is refused at the same door as everything else. Under a lease app.current_user_id() is null: what has no policy
-- for leases is closed to them.
--
-- A trigger ends the lease when its task leaves `processing` or is removed, whatever statement did it. Whoever writes to a task
-- locks its row, and the row names its lease; a statement that waited for the lock while the lease changed hands finds another
-- name there and writes nothing.

-- migrate:up

alter table app.tasks add column result jsonb;
alter table app.tasks add column lease_id uuid;
comment on column app.tasks.lease_id is
  'The lease under which a worker may write: the fence that holds under the row''s lock, when a lease changes hands meanwhile.';
grant update (result) on app.tasks to rowhouse_api;
create index tasks_claimable_idx on app.tasks (user_id, id)
  where deleted_at is null and status in ('pending', 'processing');

alter table auth.sessions add constraint sessions_user_id_id_key unique (user_id, id);

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
  constraint task_leases_user_id_api_token_id_fkey foreign key (user_id, api_token_id)
    references app.api_tokens (user_id, id) on delete cascade,
  constraint task_leases_user_id_session_id_fkey foreign key (user_id, session_id)
    references auth.sessions (user_id, id) on delete cascade,
  constraint task_leases_credential_hash_check check (octet_length(credential_hash) = 32),
  constraint task_leases_lease_seconds_check check (lease_seconds between 10 and 600)
);
comment on table app.task_leases is 'Who works on a task, until when. Without a token and a session, it was the operator''s worker.';
create unique index task_leases_user_id_task_id_live_key on app.task_leases (user_id, task_id) where ended_at is null;
create index task_leases_user_id_task_id_idx on app.task_leases (user_id, task_id);
create index task_leases_user_id_api_token_id_idx on app.task_leases (user_id, api_token_id);
create index task_leases_user_id_session_id_idx on app.task_leases (user_id, session_id);
create index task_leases_expires_at_idx on app.task_leases (expires_at) where ended_at is null;
create trigger task_leases_touch_updated_at before update on app.task_leases
  for each row execute function app.touch_updated_at();

alter table app.task_leases enable row level security;
create policy select_owner on app.task_leases for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant select (user_id, id, task_id, worker, lease_seconds, expires_at, ended_at, created_at, updated_at)
on app.task_leases to rowhouse_api;

-- The lease behind a credential, as long as it holds. Not granted to anyone: the functions below read it.
create function app.live_lease(p_credential text, out user_id uuid, out task_id uuid, out lease_id uuid)
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  select l.user_id, l.task_id, l.id
  into user_id, task_id, lease_id
  from app.task_leases l
  where left(p_credential, 2) = 'l:'
    and l.credential_hash = sha256(decode(substr(p_credential, 3), 'hex'))
    and l.ended_at is null
    and l.expires_at > now()
    and (
      l.api_token_id is null
      or exists (
        select from app.api_tokens t
        where t.user_id = l.user_id
          and t.id = l.api_token_id
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
      )
    )
    and (
      l.session_id is null
      or exists (select from auth.sessions s where s.id = l.session_id and s.expires_at > now())
    );
end
$$;
comment on function app.live_lease(text) is 'The lease that a credential opens: not ended, not lapsed, and claimed with what is still valid.';

create or replace function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller app.caller;
  wanted uuid;
  asked text;
begin
  if starts_with(p_credential, 's:') then
    select
      s.user_id, 'session', s.id, s.last_used_at < now() - interval '1 minute',
      s.slides and s.expires_at < now() + interval '6 days', coalesce(p_organization, s.active_organization_id)
    into caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due, caller.is_slide_due, wanted
    from auth.sessions s
    where s.token = encode(sha256(decode(substr(p_credential, 3), 'hex')), 'hex') and s.expires_at > now();
  elsif starts_with(p_credential, 't:') then
    select
      t.user_id, 'token', t.id, t.last_used_at is null or t.last_used_at < now() - interval '1 minute',
      false, coalesce(p_organization, t.organization_id), t.scopes, t.organization_id
    into
      caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due,
      caller.is_slide_due, wanted, caller.scopes, caller.organization_id
    from app.api_tokens t
    where t.token_hash = sha256(decode(substr(p_credential, 3), 'hex'))
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > now())
      and (t.grace_until is null or t.grace_until > now());
  elsif starts_with(p_credential, 'l:') then
    select l.user_id, 'lease', l.lease_id, false, false, '{}'
    into caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due, caller.is_slide_due, caller.scopes
    from app.live_lease(p_credential) l;
    if caller.user_id is null then
      raise exception 'lease_lost' using errcode = 'invalid_authorization_specification';
    end if;
    -- 'tasks:read+lease' asks for tasks:read, or for a lease; 'lease' for a lease and nothing else.
    if p_scope <> 'lease' and p_scope not like '%+lease' then
      raise exception 'missing_scope' using errcode = 'insufficient_privilege';
    end if;
    return caller;
  end if;
  if caller.user_id is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;

  if p_scope = 'lease' then
    raise exception 'missing_scope' using errcode = 'insufficient_privilege';
  end if;
  if caller.scopes is not null then
    -- What follows a plus sign is for other kinds of credential. 'session' is no scope: a token that lists it anyway is none
    -- the stronger.
    asked := split_part(p_scope, '+', 1);
    if asked <> 'any' and (asked = 'session' or not (
      asked = any (caller.scopes) or (asked like '%:read' and replace(asked, ':read', ':write') = any (caller.scopes))
    )) then
      raise exception 'missing_scope' using errcode = 'insufficient_privilege';
    end if;
  end if;

  if wanted is not null then
    if caller.organization_id is null or caller.organization_id = wanted then
      select m.organization_id, m.role
      into caller.organization_id, caller.organization_role
      from auth.members m
      join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
      where m.organization_id = wanted and m.user_id = caller.user_id;
    else
      caller.organization_id := null;
    end if;
    if caller.organization_id is null and (p_organization is not null or caller.kind = 'token') then
      raise exception 'not_a_member' using errcode = 'insufficient_privilege';
    end if;
  end if;
  return caller;
end
$$;
comment on function app.authenticate(text, uuid, text) is
  'Turns a credential into a caller, or raises: 28000 unauthenticated or lease_lost; 42501 missing_scope or not_a_member.';

create function app.leased_user_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 'l:' then
    return (select l.user_id from app.live_lease(credential) l);
  end if;
  return null;
end
$$;
comment on function app.leased_user_id() is 'The owner of the task that this transaction''s lease opens; null without a lease.';

create function app.leased_task_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 'l:' then
    return (select l.task_id from app.live_lease(credential) l);
  end if;
  return null;
end
$$;
comment on function app.leased_task_id() is 'The one task that this transaction''s lease opens; null without a lease.';

create function app.leased_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 'l:' then
    return (select l.lease_id from app.live_lease(credential) l);
  end if;
  return null;
end
$$;
comment on function app.leased_id() is 'This transaction''s lease; null without one.';

create or replace function app.current_owner_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if left(current_setting('app.credential', true), 2) = 'l:' then
    return app.leased_user_id();
  end if;
  return app.current_user_id();
end
$$;

-- Parsed here and not when they are called, and inlined there: they cost a statement next to nothing.
create function app.holds_lease() returns boolean
language sql stable parallel safe
return left(current_setting('app.credential', true), 2) = 'l:';
comment on function app.holds_lease() is 'Whether this transaction acts under a lease, one that has ended included.';

create function app.task_owner_id() returns uuid
language sql stable parallel safe
return case when app.holds_lease() then app.leased_user_id() else app.current_user_id() end;
comment on function app.task_owner_id() is
  'Whose tasks a statement may read: the caller''s, or under a lease its owner''s. For policies that bind a lease to its task, too.';

-- What owners and leases both read has one policy for both. Two would make an "or" of two owners, and with it a list reads and
-- sorts all rows of its owner instead of the first few from an index. A "case" for the lease, because the planner takes an
-- equality for one row in hundreds and then prefers to sort, too.
alter policy select_owner on app.tasks
  using (
    user_id = (select app.task_owner_id())
    and case when (select app.holds_lease()) then id = (select app.leased_task_id()) else true end
  );
create policy update_lease on app.tasks for update to rowhouse_api
  using (
    user_id = (select app.leased_user_id()) and id = (select app.leased_task_id()) and lease_id = (select app.leased_id())
  )
  with check (
    user_id = (select app.leased_user_id()) and id = (select app.leased_task_id())
    and deleted_at is null and status in ('processing', 'completed', 'error')
  );
alter policy select_owner on app.task_logs
  using (
    user_id = (select app.task_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );
create policy insert_lease on app.task_logs for insert to rowhouse_api
  with check (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()));
alter policy select_owner on app.task_messages
  using (
    user_id = (select app.task_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );

-- The end of a task's maximum duration; infinity for a task without one.
create function app.task_deadline(p_started_at timestamptz, p_options jsonb) returns timestamptz
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(p_started_at + make_interval(secs => (p_options ->> 'maxDurationSeconds')::integer), 'infinity')
$$;
comment on function app.task_deadline(timestamptz, jsonb) is 'When a task must be over, counted from its first claim.';

-- Gives a task that its caller has locked to a worker, and ends the lease that lapsed on it.
create function app.lease_task(
  p_user_id uuid, p_task_id uuid, p_worker text, p_lease_seconds integer, p_credential_hash bytea, p_api_token_id uuid,
  p_session_id uuid
) returns timestamptz
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  lease uuid := app.new_id();
  ends timestamptz;
begin
  update app.task_leases l set ended_at = now()
  where l.user_id = p_user_id and l.task_id = p_task_id and l.ended_at is null;
  update app.tasks t
  set status = 'processing', lease_id = lease, started_at = coalesce(t.started_at, now()), error = null
  where t.user_id = p_user_id and t.id = p_task_id
  returning least(now() + make_interval(secs => p_lease_seconds), app.task_deadline(t.started_at, t.options)) into ends;
  insert into app.task_leases (
    user_id, id, task_id, credential_hash, worker, lease_seconds, expires_at, api_token_id, session_id
  )
  values (
    p_user_id, lease, p_task_id, p_credential_hash, p_worker, p_lease_seconds, ends, p_api_token_id, p_session_id
  );
  return ends;
end
$$;
comment on function app.lease_task(uuid, uuid, text, integer, bytea, uuid, uuid) is 'The second half of a claim.';

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

create function app.claim_task(
  p_worker text, p_lease_seconds integer, p_credential_hash bytea, out task_id uuid, out expires_at timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller uuid := app.current_user_id();
  credential text := current_setting('app.credential', true);
  hash bytea;
  token_id uuid;
  session_id uuid;
  after uuid := '00000000-0000-0000-0000-000000000000';
begin
  if caller is null then
    return;
  end if;
  hash := sha256(decode(substr(credential, 3), 'hex'));
  if left(credential, 2) = 't:' then
    select t.id into token_id from app.api_tokens t where t.token_hash = hash;
  else
    select s.id into session_id from auth.sessions s where s.token = encode(hash, 'hex');
  end if;
  loop
    select t.id into task_id
    from app.tasks t
    where t.user_id = caller
      and t.id > after
      and t.deleted_at is null
      and t.status in ('pending', 'processing')
      and app.task_deadline(t.started_at, t.options) > now()
      and not app.is_leased(t.user_id, t.id)
    order by t.id
    limit 1
    for update skip locked;
    exit when task_id is null;
    -- Looked up anew under the lock: the row may have been claimed since the statement above took its snapshot.
    if not app.is_leased(caller, task_id) then
      expires_at := app.lease_task(caller, task_id, p_worker, p_lease_seconds, p_credential_hash, token_id, session_id);
      return;
    end if;
    after := task_id;
  end loop;
end
$$;
comment on function app.claim_task(text, integer, bytea) is
  'Gives the caller''s oldest waiting task, or one whose lease has lapsed, to a worker. Nulls where there is none.';

create function app.claim_any_task(
  p_after_user uuid, p_worker text, p_lease_seconds integer, p_credential_hash bytea,
  out user_id uuid, out task_id uuid, out expires_at timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  everybody constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  after_user uuid := coalesce(p_after_user, nobody);
  after_task uuid := everybody;
begin
  -- Round robin by user: the first after the one served last who has a task to claim, then from the beginning.
  for round in 1..2 loop
    loop
      select t.user_id, t.id into user_id, task_id
      from app.tasks t
      where (t.user_id, t.id) > (after_user, after_task)
        and t.deleted_at is null
        and t.status in ('pending', 'processing')
        and app.task_deadline(t.started_at, t.options) > now()
        and not app.is_leased(t.user_id, t.id)
      order by t.user_id, t.id
      limit 1
      for update skip locked;
      exit when task_id is null;
      -- Looked up anew under the lock: the row may have been claimed since the statement above took its snapshot.
      if not app.is_leased(user_id, task_id) then
        expires_at := app.lease_task(user_id, task_id, p_worker, p_lease_seconds, p_credential_hash, null, null);
        return;
      end if;
      after_user := user_id;
      after_task := task_id;
    end loop;
    after_user := nobody;
    after_task := nobody;
  end loop;
end
$$;
comment on function app.claim_any_task(uuid, text, integer, bytea) is
  'The same for the operator''s workers, over all users in turn: p_after_user is the one who was served last.';

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
  'Prolongs the caller''s lease by its length; is_last once the task''s maximum duration leaves no room for another.';

create function app.unname_task_lease() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.lease_id := null;
  return new;
end
$$;
comment on function app.unname_task_lease() is 'Takes the lease''s name off a task that is over, stopped or removed.';
create trigger tasks_unname_lease before update on app.tasks
  for each row
  when (old.status = 'processing' and (new.status <> 'processing' or new.deleted_at is not null))
  execute function app.unname_task_lease();

create function app.end_task_lease() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update app.task_leases l set ended_at = now()
  where l.user_id = new.user_id and l.task_id = new.id and l.ended_at is null;
  return null;
end
$$;
comment on function app.end_task_lease() is 'Ends the lease of a task that is over, stopped or removed.';
create trigger tasks_end_lease after update of status, deleted_at on app.tasks
  for each row
  when (old.status = 'processing' and (new.status <> 'processing' or new.deleted_at is not null))
  execute function app.end_task_lease();

create function app.end_credential_leases() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The task first, as everyone does who needs both.
  perform from app.tasks t
  join app.task_leases l on l.user_id = t.user_id and l.task_id = t.id
  where l.user_id = old.user_id and (l.session_id = old.id or l.api_token_id = old.id) and l.ended_at is null
  order by t.id
  for update of t;
  update app.task_leases l set ended_at = now()
  where l.user_id = old.user_id and (l.session_id = old.id or l.api_token_id = old.id) and l.ended_at is null;
  return old;
end
$$;
comment on function app.end_credential_leases() is
  'Ends the leases that were claimed with a session or a token that is deleted, before they go with it: what follows a lease''s end follows.';
create trigger sessions_end_leases before delete on auth.sessions
  for each row execute function app.end_credential_leases();
create trigger api_tokens_end_leases before delete on app.api_tokens
  for each row execute function app.end_credential_leases();

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

grant execute on function
  app.leased_user_id(),
  app.leased_task_id(),
  app.leased_id(),
  app.task_owner_id(),
  app.holds_lease(),
  app.claim_task(text, integer, bytea),
  app.extend_lease()
to rowhouse_api;
grant execute on function
  app.claim_any_task(uuid, text, integer, bytea),
  app.sweep_leases()
to rowhouse_system;

-- migrate:down

drop function app.sweep_leases();
drop trigger api_tokens_end_leases on app.api_tokens;
drop trigger sessions_end_leases on auth.sessions;
drop function app.end_credential_leases();
drop trigger tasks_end_lease on app.tasks;
drop function app.end_task_lease();
drop trigger tasks_unname_lease on app.tasks;
drop function app.unname_task_lease();
drop function app.extend_lease();
drop function app.claim_any_task(uuid, text, integer, bytea);
drop function app.claim_task(text, integer, bytea);
drop function app.is_leased(uuid, uuid);
drop function app.lease_task(uuid, uuid, text, integer, bytea, uuid, uuid);
drop function app.task_deadline(timestamptz, jsonb);
alter policy select_owner on app.tasks using (user_id = (select app.current_user_id()));
drop policy update_lease on app.tasks;
alter policy select_owner on app.task_logs using (user_id = (select app.current_user_id()));
drop policy insert_lease on app.task_logs;
alter policy select_owner on app.task_messages using (user_id = (select app.current_user_id()));
create or replace function app.current_owner_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return app.current_user_id();
end
$$;
drop function app.task_owner_id();
drop function app.holds_lease();
drop function app.leased_id();
drop function app.leased_task_id();
drop function app.leased_user_id();
create or replace function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller app.caller;
  wanted uuid;
  asked text;
begin
  if starts_with(p_credential, 's:') then
    select
      s.user_id, 'session', s.id, s.last_used_at < now() - interval '1 minute',
      s.slides and s.expires_at < now() + interval '6 days', coalesce(p_organization, s.active_organization_id)
    into caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due, caller.is_slide_due, wanted
    from auth.sessions s
    where s.token = encode(sha256(decode(substr(p_credential, 3), 'hex')), 'hex') and s.expires_at > now();
  elsif starts_with(p_credential, 't:') then
    select
      t.user_id, 'token', t.id, t.last_used_at is null or t.last_used_at < now() - interval '1 minute',
      false, coalesce(p_organization, t.organization_id), t.scopes, t.organization_id
    into
      caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due,
      caller.is_slide_due, wanted, caller.scopes, caller.organization_id
    from app.api_tokens t
    where t.token_hash = sha256(decode(substr(p_credential, 3), 'hex'))
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > now())
      and (t.grace_until is null or t.grace_until > now());
  end if;
  if caller.user_id is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;

  if caller.scopes is not null then
    -- What follows a plus sign is for other kinds of credential. 'session' is no scope: a token that lists it anyway is none
    -- the stronger.
    asked := split_part(p_scope, '+', 1);
    if asked <> 'any' and (asked = 'session' or not (
      asked = any (caller.scopes) or (asked like '%:read' and replace(asked, ':read', ':write') = any (caller.scopes))
    )) then
      raise exception 'missing_scope' using errcode = 'insufficient_privilege';
    end if;
  end if;

  if wanted is not null then
    if caller.organization_id is null or caller.organization_id = wanted then
      select m.organization_id, m.role
      into caller.organization_id, caller.organization_role
      from auth.members m
      join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
      where m.organization_id = wanted and m.user_id = caller.user_id;
    else
      caller.organization_id := null;
    end if;
    if caller.organization_id is null and (p_organization is not null or caller.kind = 'token') then
      raise exception 'not_a_member' using errcode = 'insufficient_privilege';
    end if;
  end if;
  return caller;
end
$$;
comment on function app.authenticate(text, uuid, text) is
  'Turns a credential into a caller, or raises: 28000 unknown, expired or revoked; 42501 missing_scope or not_a_member.';
drop function app.live_lease(text);
drop table app.task_leases;
alter table auth.sessions drop constraint sessions_user_id_id_key;
drop index app.tasks_claimable_idx;
alter table app.tasks drop column lease_id;
alter table app.tasks drop column result;
