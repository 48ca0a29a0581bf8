-- Claims: a worker asks for a task and gets a lease on it.
--
-- The oldest pending task goes first, and one whose lease has lapsed counts as pending.

-- migrate:up

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
comment on function app.lease_task(uuid, uuid, text, integer, bytea, uuid, uuid) is
  'The second half of a claim.';

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
  hash := app.credential_digest(credential);
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
    -- Looked up anew under the lock: the row may have been claimed since the statement above took its
    -- snapshot.
    if not app.is_leased(caller, task_id) then
      expires_at := app.lease_task(caller, task_id, p_worker, p_lease_seconds, p_credential_hash, token_id, session_id);
      return;
    end if;
    after := task_id;
  end loop;
end
$$;
comment on function app.claim_task(text, integer, bytea) is
  'Gives the caller''s oldest waiting task, or one whose lease has lapsed, to a worker. Nulls where there '
  'is none.';

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
  -- Round robin by user: the first after the one served last who has a task to claim, then from the
  -- beginning.
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
      if exists (select from auth.users u where u.id = user_id and u.removed_at is not null) then
        after_user := user_id;
        after_task := everybody;
        task_id := null;
        continue;
      end if;
      -- Looked up anew under the lock: the row may have been claimed since the statement above took its
      -- snapshot.
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
  'The same for the operator''s workers, over all users in turn: p_after_user is the one who was served '
  'last.';

grant execute on function app.claim_task to rowhouse_api;
grant execute on function app.claim_any_task to rowhouse_system;

-- migrate:down

drop function app.lease_task, app.claim_task, app.claim_any_task;
