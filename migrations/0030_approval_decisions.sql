-- How approvals end: a person decides, the requester cancels, or the time is over. The order of locks is that
-- of 0028_approvals.

-- migrate:up

create function app.decide_approval(p_id uuid, p_decision text, p_note text, p_payload_hash bytea) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_user_id();
  target record;
  approval app.approvals;
  role text;
begin
  select a.user_id, a.organization_id into target
  from app.approvals a
  where a.id = p_id and a.deletion_id is null
    and not exists (select from auth.users u where u.id = a.user_id and u.removed_at is not null)
    and (a.user_id = caller or a.organization_id = any (app.member_organization_ids()));
  if not found then
    return;
  end if;
  if target.organization_id is not null then
    -- Whoever is removed or lowered meanwhile decides nothing any more.
    perform from auth.organizations o where o.id = target.organization_id for share;
    select m.role into role from auth.members m
    where m.organization_id = target.organization_id and m.user_id = caller
      and m.organization_id = any (app.member_organization_ids());
    if role is null and target.user_id <> caller then
      return;
    end if;
    if role is null or role = 'member' then
      perform app.refuse('role_too_low', 'only the organization''s owners and admins may decide');
    end if;
    if target.user_id = caller and not (
      select o.allow_self_approval from auth.organizations o where o.id = target.organization_id
    ) then
      perform app.refuse('role_too_low', 'nobody decides their own request here: another owner or admin does');
    end if;
  end if;
  -- A program that asks must not be able to answer.
  if target.user_id = caller and app.current_session_user_id() is null then
    perform app.refuse('missing_scope', 'one''s own request is decided when signed in, not by an API token');
  end if;

  approval := app.lock_approval(target.user_id, p_id);
  if approval.id is null or approval.deletion_id is not null then
    return;
  end if;
  if approval.status <> 'pending' then
    perform app.refuse('already_decided', format('approval "%s" is %s already', p_id, approval.status));
  end if;
  if approval.expires_at <= clock_timestamp() then
    return next app.settle_approval(approval, 'expired', null, null);
    return;
  end if;
  if p_payload_hash is distinct from approval.payload_hash or approval.tool_call_id is not null and not exists (
    select from app.tool_calls c
    where c.user_id = approval.user_id and c.id = approval.tool_call_id
      and c.tool = approval.tool and c.arguments = approval.arguments and c.arguments_hash = approval.payload_hash
  ) then
    return next app.settle_approval(approval, 'cancelled', null, 'what was to be approved has changed');
    return;
  end if;
  return next app.settle_approval(
    approval, case p_decision when 'approve' then 'approved' else 'rejected' end, caller, p_note
  );
end
$$;
comment on function app.decide_approval(uuid, text, text, bytea) is
  'Approves or rejects a pending approval, as one who may, and moves its tool call. What has expired '
  'becomes expired, and what is not what was asked for any more becomes cancelled. Nothing where the caller '
  'knows of no such approval.';

create function app.cancel_approval(p_id uuid) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_user_id();
  requester uuid;
  approval app.approvals;
begin
  select a.user_id into requester
  from app.approvals a
  where a.id = p_id and a.deletion_id is null
    and not exists (select from auth.users u where u.id = a.user_id and u.removed_at is not null)
    and (a.user_id = caller or a.organization_id = any (app.member_organization_ids()));
  if not found then
    return;
  end if;
  if requester <> caller then
    perform app.refuse('role_too_low', 'only who requested it may cancel an approval');
  end if;
  approval := app.lock_approval(caller, p_id);
  if approval.id is null or approval.deletion_id is not null then
    return;
  end if;
  if approval.status <> 'pending' then
    perform app.refuse('already_decided', format('approval "%s" is %s already', p_id, approval.status));
  end if;
  return next app.settle_approval(approval, 'cancelled', null, null);
end
$$;
comment on function app.cancel_approval(uuid) is
  'Takes a pending approval of the caller''s back. Its tool call waits for another one.';

create function app.expire_approval(out user_id uuid, out organization_id uuid)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  due record;
  approval app.approvals;
begin
  loop
    select a.user_id, a.id into due from app.approvals a
    where a.status = 'pending' and a.expires_at <= now()
    order by a.expires_at
    limit 1;
    if not found then
      return;
    end if;
    approval := app.lock_approval(due.user_id, due.id);
    if approval.status = 'pending' then
      approval := app.settle_approval(approval, 'expired', null, null);
      user_id := approval.user_id;
      organization_id := approval.organization_id;
      return;
    end if;
  end loop;
end
$$;
comment on function app.expire_approval() is
  'Expires one approval whose time is over, which denies its tool call. One a transaction, since each locks '
  'sequences. Nulls where there is none.';

grant execute on function app.decide_approval, app.cancel_approval to rowhouse_api;
grant execute on function app.expire_approval to rowhouse_system;

-- migrate:down

drop function app.decide_approval, app.cancel_approval, app.expire_approval;
