-- Requests for approvals: made by the user, and by a worker for a call of the task that it holds.

-- migrate:up

create function app.request_approval(
  p_kind text, p_title text, p_payload jsonb, p_payload_hash bytea, p_priority integer, p_tool_call_id uuid,
  p_organization_id uuid, p_expires_at timestamptz
) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  owner uuid := app.current_owner_id();
  is_leased boolean := app.holds_lease();
  task uuid := app.leased_task_id();
  call app.tool_calls;
  organization uuid;
  task_organization uuid;
  locked record;
  seq integer;
begin
  if owner is null then
    -- Signed in with the statement, and over since.
    if is_leased then
      raise exception 'lease_lost' using errcode = 'RH409';
    end if;
    perform app.refuse('unauthenticated', 'sign in, or present a valid credential');
  end if;
  if p_tool_call_id is not null then
    select r.task_id into task
    from app.tool_calls c
    join app.agent_runs r on r.user_id = c.user_id and r.id = c.run_id
    where c.user_id = owner and c.id = p_tool_call_id
      and case when is_leased then r.task_id = app.leased_task_id() else true end;
    if not found then
      perform app.refuse('not_found', 'tool call not found');
    end if;
  end if;
  select t.organization_id into task_organization from app.tasks t where t.user_id = owner and t.id = task;
  organization := coalesce(p_organization_id, task_organization, app.current_organization_id());
  if organization is not null then
    if is_leased and organization is distinct from task_organization
      or not is_leased and organization <> all (app.member_organization_ids()) then
      perform app.refuse('not_found', 'organization not found');
    end if;
    if organization is distinct from task_organization and task_organization is not null then
      perform app.refuse('invalid_input', 'the task belongs to another organization');
    end if;
    perform from auth.organizations o where o.id = organization and o.deleted_at is null for share;
    -- In a statement of its own: the one that waits for the lock sees members as they were before.
    if not found or not exists (
      select from auth.members m where m.organization_id = organization and m.user_id = owner
    ) then
      perform app.refuse('not_found', 'organization not found');
    end if;
  end if;
  if task is not null then
    select t.organization_id, t.lease_id, t.deleted_at into locked
    from app.tasks t where t.user_id = owner and t.id = task
    for share;
    if is_leased and locked.lease_id is distinct from app.leased_id() then
      raise exception 'lease_lost' using errcode = 'RH409';
    end if;
    if locked.deleted_at is not null then
      perform app.refuse('not_found', 'tool call not found');
    end if;
    if locked.organization_id is distinct from task_organization then
      raise exception 'the task changed its organization' using errcode = 'serialization_failure';
    end if;
  end if;
  if p_expires_at <= clock_timestamp() then
    perform app.refuse('invalid_input', 'the time at which it expires is over');
  end if;
  if p_tool_call_id is not null then
    select * into call from app.tool_calls c where c.user_id = owner and c.id = p_tool_call_id for no key update;
    if call.status <> 'awaiting_approval' then
      perform app.refuse(
        'illegal_transition', format('tool call "%s" is %s: it awaits no approval', p_tool_call_id, call.status)
      );
    end if;
    return query
      select * from app.approvals a
      where a.user_id = owner and a.tool_call_id = p_tool_call_id and a.status = 'pending';
    if found then
      return;
    end if;
  end if;
  seq := app.next_approval_seq(owner);
  return query
    insert into app.approvals (
      user_id, organization_id, task_id, tool_call_id, kind, title, payload, tool, arguments, payload_hash, priority,
      requested_by, expires_at, event_seq, organization_event_seq
    )
    values (
      owner, organization, task, p_tool_call_id, p_kind, p_title, p_payload, call.tool, call.arguments,
      coalesce(call.arguments_hash, p_payload_hash), p_priority,
      case
        when is_leased then 'lease'
        when app.current_session_user_id() is not null then 'session'
        else 'token'
      end,
      p_expires_at, seq, app.next_organization_approval_seq(organization)
    )
    returning *;
end
$$;
comment on function app.request_approval(text, text, jsonb, bytea, integer, uuid, uuid, timestamptz) is
  'Asks for an approval as the caller, or under a lease as its task''s owner, in the organization that is '
  'named, the task''s, or the one in which the caller acts. For a tool call that has a pending approval, '
  'that one.';

grant execute on function app.request_approval to rowhouse_api;

-- migrate:down

drop function app.request_approval;
