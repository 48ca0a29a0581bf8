-- Invitations into an organization: sent, listed, cancelled, accepted and declined.
--
-- An invitation is for a mail address, and only a user who has verified that address may answer it.

-- migrate:up

create type app.invitation as (
  id uuid,
  organization_id uuid,
  organization_name text,
  email text,
  role text,
  status text,
  inviter_name text,
  expires_at timestamptz,
  created_at timestamptz
);
comment on type app.invitation is 'An invitation as the organization''s admins and its recipient see it.';

create function app.describe_invitations(p_ids uuid[]) returns setof app.invitation
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select i.id, i.organization_id, o.name, i.email, i.role, i.status, u.name, i.expires_at, i.created_at
    from auth.invitations i
    join auth.organizations o on o.id = i.organization_id
    join auth.users u on u.id = i.inviter_id
    where i.id = any (p_ids)
    order by i.id desc;
end
$$;
comment on function app.describe_invitations(uuid[]) is
  'Invitations with the names of organization and inviter, newest first.';

create function app.create_invitation(p_id uuid, p_email text, p_role text, p_mails_per_hour integer) returns setof app.invitation
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  role text := app.lock_organization(p_id);
  caller uuid := app.current_session_user_id();
  address text := lower(p_email);
  again_at timestamptz;
  created uuid;
begin
  if role is null then
    return;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may invite');
  end if;
  if role <> 'owner' and p_role = 'owner' then
    perform app.refuse('role_too_low', 'only owners may invite owners');
  end if;
  if exists (
    select from auth.members m join auth.users u on u.id = m.user_id
    where m.organization_id = p_id and lower(u.email) = address
  ) then
    raise exception 'already a member'
      using errcode = 'unique_violation', constraint = 'members_organization_id_user_id_key', table = 'members', schema = 'auth';
  end if;

  -- Each is a mail to somebody who did not ask for it: so many an hour to one address, and 20 times as many
  -- from one user.
  select max(limited.until) into again_at
  from (
    (
      select i.created_at + interval '1 hour' as until from auth.invitations i
      where i.email = address order by i.created_at desc offset p_mails_per_hour - 1 limit 1
    )
    union all
    (
      select i.created_at + interval '1 hour' from auth.invitations i
      where i.inviter_id = caller order by i.created_at desc offset 20 * p_mails_per_hour - 1 limit 1
    )
  ) limited;
  if again_at > now() then
    raise exception using
      errcode = 'RH001', message = 'rate_limited', detail = 'too many invitations; try again later',
      hint = to_char(again_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
  end if;

  update auth.invitations i set status = 'canceled'
  where i.organization_id = p_id and i.email = address and i.status = 'pending';
  insert into auth.invitations (organization_id, inviter_id, email, role, expires_at)
  values (p_id, caller, address, p_role, now() + interval '48 hours')
  returning id into created;
  return query select * from app.describe_invitations(array[created]);
end
$$;
comment on function app.create_invitation(uuid, text, text, integer) is
  'Invites whoever can prove that the address is theirs, for 48 hours; cancels an earlier invitation of the '
  'same address. The caller, who sends the mail, says how many one address may get in an hour.';

create function app.list_invitations(p_id uuid) returns setof app.invitation
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
  own_role text;
begin
  if p_id is null then
    return query
      select d.* from app.describe_invitations(array(
        select i.id
        from auth.users u
        join auth.invitations i on i.email = lower(u.email) and i.status = 'pending' and i.expires_at > now()
        join auth.organizations o on o.id = i.organization_id and o.deleted_at is null
        where u.id = caller and u.email_verified
      )) d;
    return;
  end if;
  select o.role into own_role from app.own_organizations(p_id) o;
  if own_role is null then
    perform app.refuse('not_found', 'organization not found');
  end if;
  perform app.require_second_factor(caller, p_id);
  if own_role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins see whom an organization invited');
  end if;
  return query
    select d.* from app.describe_invitations(array(
      select i.id from auth.invitations i
      where i.organization_id = p_id
        and i.status = 'pending'
        -- With its id an invitation can be cancelled or passed on; those that make owners are the owners'.
        and (own_role = 'owner' or own_role = 'admin' and i.role <> 'owner')
    )) d;
end
$$;
comment on function app.list_invitations(uuid) is
  'The pending invitations of one of the caller''s organizations, expired ones included; without one, those '
  'that the caller received.';

create function app.require_pending(p_status text, p_expires_at timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_status <> 'pending' then
    perform app.refuse(
      'illegal_transition',
      'the invitation is already ' || case p_status when 'rejected' then 'declined' when 'canceled' then 'cancelled' else p_status end
    );
  end if;
  if p_expires_at <= now() then
    perform app.refuse('illegal_transition', 'the invitation has expired');
  end if;
end
$$;
comment on function app.require_pending(text, timestamptz) is
  'Refuses an invitation that was answered, was taken back or has expired.';

create function app.cancel_invitation(p_id uuid) returns setof app.invitation
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  role text := app.lock_organization((select i.organization_id from auth.invitations i where i.id = p_id));
  invited record;
begin
  if role is null then
    return;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may cancel invitations');
  end if;
  select i.status, i.role into invited from auth.invitations i where i.id = p_id for update;
  if role <> 'owner' and invited.role = 'owner' then
    perform app.refuse('role_too_low', 'only owners may cancel an owner''s invitation');
  end if;
  perform app.require_pending(invited.status, null);
  update auth.invitations i set status = 'canceled' where i.id = p_id;
  return query select * from app.describe_invitations(array[p_id]);
end
$$;
comment on function app.cancel_invitation(uuid) is 'Takes an invitation back.';

create function app.lock_received_invitation(
  p_id uuid, out organization_id uuid, out role text
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  recipient record;
  invited record;
begin
  select u.email, u.email_verified into recipient from auth.users u where u.id = app.current_session_user_id();
  -- Before anything is looked up: who only claims an address learns nothing of what was sent to it.
  if not recipient.email_verified then
    perform app.refuse('email_not_verified', 'confirm your mail address first');
  end if;
  select i.organization_id into organization_id
  from auth.invitations i where i.id = p_id and i.email = lower(recipient.email);
  -- The organization first, as everyone does who needs both.
  perform from auth.organizations o where o.id = organization_id and o.deleted_at is null for update;
  if not found then
    organization_id := null;
    return;
  end if;
  select i.role, i.status, i.expires_at into invited from auth.invitations i where i.id = p_id for update;
  perform app.require_pending(invited.status, invited.expires_at);
  role := invited.role;
end
$$;
comment on function app.lock_received_invitation(uuid) is
  'Locks a pending invitation of the caller''s verified address; nulls where there is none. Not granted to '
  'anyone.';

create function app.accept_invitation(p_id uuid) returns setof app.own_organization
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  invited record;
begin
  select * into invited from app.lock_received_invitation(p_id);
  if invited.organization_id is null then
    return;
  end if;
  insert into auth.members (organization_id, user_id, role)
  values (invited.organization_id, app.current_session_user_id(), invited.role);
  update auth.invitations i set status = 'accepted' where i.id = p_id;
  perform app.activate_organization(invited.organization_id);
  return query select * from app.own_organizations(invited.organization_id);
end
$$;
comment on function app.accept_invitation(uuid) is
  'Makes the caller a member of the organization that invited their verified address, and their session act '
  'in it.';

create function app.decline_invitation(p_id uuid) returns setof app.invitation
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  invited record;
begin
  select * into invited from app.lock_received_invitation(p_id);
  if invited.organization_id is null then
    return;
  end if;
  update auth.invitations i set status = 'rejected' where i.id = p_id;
  return query select * from app.describe_invitations(array[p_id]);
end
$$;
comment on function app.decline_invitation(uuid) is
  'Turns an invitation of the caller''s verified address down.';

grant execute on function
  app.create_invitation, app.list_invitations, app.cancel_invitation, app.accept_invitation,
  app.decline_invitation
to rowhouse_api;

-- migrate:down

drop function
  app.describe_invitations, app.create_invitation, app.list_invitations, app.require_pending,
  app.cancel_invitation, app.lock_received_invitation, app.accept_invitation, app.decline_invitation;
drop type app.invitation;
