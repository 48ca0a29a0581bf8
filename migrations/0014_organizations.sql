-- Organizations: made, changed, left, removed and restored; members, their roles and invitations.
--
-- The tables are Better Auth's, and so are the rules: owners may do everything, admins all but touch owners and end the
-- organization, members read. Procedures go through the functions below, each of which derives its caller from the
-- transaction's credential, locks the organization and only then looks the caller's role up. So whoever is removed or lowered
-- meanwhile changes nothing any more, and the last of several who act at once finds what the others left.
--
-- What a function refuses, it raises with the SQLSTATE RH001: the message is the reason, the detail a sentence, the hint
-- perhaps the time at which to try again. What is not the caller's to know of, it answers with nothing.
--
-- An organization that is removed stays as a row and is hidden from everyone, Better Auth's login included. What is bound to it
-- is marked with its deletion_id, and restoring it within 30 days unmarks exactly that.

-- migrate:up

-- A slug is free again once its organization is removed.
alter table auth.organizations drop constraint organizations_slug_key;
create unique index organizations_slug_key on auth.organizations (slug) where deleted_at is null;
comment on table auth.organizations is 'Teams. Removing one hides it; its row stays, so that it can be restored within 30 days.';

alter policy all_auth on auth.organizations using (deleted_at is null) with check (deleted_at is null);
-- Better Auth's login sees no organization that is removed, and so none of its members and invitations either.
alter policy all_auth on auth.members
  using (exists (select from auth.organizations o where o.id = organization_id))
  with check (exists (select from auth.organizations o where o.id = organization_id));
alter policy all_auth on auth.invitations
  using (exists (select from auth.organizations o where o.id = organization_id))
  with check (exists (select from auth.organizations o where o.id = organization_id));

create function auth.cancel_former_inviters_invitations() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.invitations i set status = 'canceled'
  where i.organization_id = old.organization_id
    and i.inviter_id = old.user_id
    and i.status = 'pending'
    and (tg_op = 'DELETE' or new.role = 'member' or new.role = 'admin' and i.role = 'owner');
  return null;
end
$$;
comment on function auth.cancel_former_inviters_invitations() is
  'An invitation holds as long as its inviter could make it: nobody comes back, or in, by one of their own.';
create trigger members_cancel_invitations after delete or update of role on auth.members
  for each row when (old.role <> 'member') execute function auth.cancel_former_inviters_invitations();

alter table app.api_tokens add column deletion_id uuid;
comment on column app.api_tokens.deletion_id is
  'Set while the organization that the token is bound to is removed: it is refused until that is restored.';
grant select (deletion_id) on app.api_tokens to rowhouse_api;

create or replace function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller app.caller;
  wanted uuid;
  asked text;
  lacks_factor boolean;
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
      and (t.grace_until is null or t.grace_until > now())
      and t.deletion_id is null;
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
      select
        m.organization_id, m.role,
        o.require_two_factor and not (select u.two_factor_enabled from auth.users u where u.id = m.user_id)
      into caller.organization_id, caller.organization_role, lacks_factor
      from auth.members m
      join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
      where m.organization_id = wanted and m.user_id = caller.user_id;
    else
      caller.organization_id := null;
    end if;
    if caller.organization_id is null and (p_organization is not null or caller.kind = 'token') then
      raise exception 'not_a_member' using errcode = 'insufficient_privilege';
    end if;
    if lacks_factor then
      -- What a session needs to choose another organization, or none, stays open to one that is active in this one.
      if p_organization is not null or caller.kind = 'token' or split_part(p_scope, '+', 1) not in ('any', 'session') then
        raise exception 'two_factor_required' using errcode = 'insufficient_privilege';
      end if;
      caller.organization_id := null;
      caller.organization_role := null;
    end if;
  end if;
  return caller;
end
$$;
comment on function app.authenticate(text, uuid, text) is
  'Turns a credential into a caller, or raises: 28000 unauthenticated or lease_lost; 42501 missing_scope, not_a_member or two_factor_required.';

create function app.lacks_second_factor(p_user_id uuid, p_organization_id uuid) returns boolean
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from auth.organizations o
    join auth.users u on u.id = p_user_id and not u.two_factor_enabled
    where o.id = p_organization_id and o.require_two_factor
  );
end
$$;
comment on function app.lacks_second_factor(uuid, uuid) is
  'Whether an organization requires a second factor that the user has not. Not granted to anyone.';

create or replace function app.member_organization_ids() returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_user_id();
  credential text := current_setting('app.credential', true);
  bound uuid;
begin
  if caller is null then
    return '{}';
  end if;
  if left(credential, 2) = 't:' then
    select t.organization_id into bound from app.api_tokens t
    where t.token_hash = sha256(decode(substr(credential, 3), 'hex'));
  end if;
  return array(
    select m.organization_id from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.user_id = caller
      and (bound is null or m.organization_id = bound)
      and (not o.require_two_factor or (select u.two_factor_enabled from auth.users u where u.id = caller))
  );
end
$$;
comment on function app.member_organization_ids() is
  'The organizations in which the caller may act: all they belong to, or the one that their API token is bound to, without those
that require a second factor of a caller who has none.';

create or replace function app.live_lease(p_credential text, out user_id uuid, out task_id uuid, out lease_id uuid)
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
          and t.deletion_id is null
      )
    )
    and (
      l.session_id is null
      or exists (select from auth.sessions s where s.id = l.session_id and s.expires_at > now())
    );
end
$$;

create or replace function app.current_user_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  case left(credential, 2)
    when 's:' then
      return (
        select s.user_id from auth.sessions s
        where s.token = encode(sha256(decode(substr(credential, 3), 'hex')), 'hex') and s.expires_at > now()
      );
    when 't:' then
      return (
        select t.user_id from app.api_tokens t
        where t.token_hash = sha256(decode(substr(credential, 3), 'hex'))
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
          and t.deletion_id is null
      );
    else
      return null;
  end case;
end
$$;

create function app.current_organization_role() returns text
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  organization uuid := app.current_organization_id();
begin
  if organization is null then
    return null;
  end if;
  return (
    select m.role from auth.members m
    where m.organization_id = organization and m.user_id = app.current_user_id()
  );
end
$$;
comment on function app.current_organization_role() is
  'As what the caller belongs to the organization in which they act; null for none. For policies of what an organization owns.';

create type app.own_organization as (
  id uuid,
  name text,
  slug text,
  logo text,
  role text,
  require_two_factor boolean,
  allow_self_approval boolean,
  created_at timestamptz
);
comment on type app.own_organization is 'An organization as one of its members sees it, with their role.';

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

create function app.own_organizations(p_id uuid default null) returns setof app.own_organization
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select o.id, o.name, o.slug, o.logo, m.role, o.require_two_factor, o.allow_self_approval, o.created_at
    from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.user_id = app.current_session_user_id() and (p_id is null or o.id = p_id)
    order by o.id desc;
end
$$;
comment on function app.own_organizations(uuid) is
  'The organizations to which the caller, signed in with a session, belongs, newest first; or the one of this id.';

-- The functions from here to app.unmark_with_organization are not granted to anyone: those below call them.
create function app.refuse(p_reason text, p_sentence text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'RH001', message = p_reason, detail = p_sentence;
end
$$;
comment on function app.refuse(text, text) is 'Raises an expected failure.';

create function app.require_second_factor(p_user_id uuid, p_organization_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if app.lacks_second_factor(p_user_id, p_organization_id) then
    perform app.refuse(
      'two_factor_required',
      'this organization requires two-factor sign-in: switch it on for your account, then try again'
    );
  end if;
end
$$;
comment on function app.require_second_factor(uuid, uuid) is
  'Refuses whoever has no second factor what an organization that requires one gives its members.';

create function app.lock_organization(p_id uuid) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  -- Whoever does not belong to it must not make others wait.
  if not exists (select from auth.members m where m.organization_id = p_id and m.user_id = caller) then
    return null;
  end if;
  perform from auth.organizations o where o.id = p_id and o.deleted_at is null for update;
  if not found then
    return null;
  end if;
  perform app.require_second_factor(caller, p_id);
  return (select m.role from auth.members m where m.organization_id = p_id and m.user_id = caller);
end
$$;
comment on function app.lock_organization(uuid) is
  'Locks one of the caller''s organizations and tells their role in it, as it is under the lock; null where it is not theirs.';

create function app.activate_organization(p_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.sessions s set active_organization_id = p_id
  where s.token = encode(sha256(decode(substr(current_setting('app.credential', true), 3), 'hex')), 'hex')
    and s.user_id = app.current_session_user_id();
end
$$;
comment on function app.activate_organization(uuid) is 'Makes an organization the one in which the caller''s session acts.';

create function app.mark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One statement for each table with rows that an organization's removal hides, and its counterpart below.
  update app.api_tokens t set deletion_id = p_deletion_id where t.organization_id = p_id and t.deletion_id is null;
end
$$;
comment on function app.mark_with_organization(uuid, uuid) is 'Marks what goes with an organization.';

create function app.unmark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update app.api_tokens t set deletion_id = null where t.organization_id = p_id and t.deletion_id = p_deletion_id;
end
$$;
comment on function app.unmark_with_organization(uuid, uuid) is 'Brings back what went with an organization, and nothing else.';

create function app.create_organization(p_name text, p_slug text, p_logo text) returns setof app.own_organization
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  organization uuid := app.new_id();
begin
  insert into auth.organizations (id, name, slug, logo) values (organization, p_name, p_slug, p_logo);
  insert into auth.members (organization_id, user_id, role)
  values (organization, app.current_session_user_id(), 'owner');
  perform app.activate_organization(organization);
  return query select * from app.own_organizations(organization);
end
$$;
comment on function app.create_organization(text, text, text) is
  'Makes an organization whose owner the caller is, and in which their session acts from now on.';

create function app.update_organization(p_id uuid, p_changes jsonb) returns setof app.own_organization
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  role text := app.lock_organization(p_id);
begin
  if role is null then
    return;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may change an organization');
  end if;
  if role <> 'owner' and p_changes ?| array['require_two_factor', 'allow_self_approval'] then
    perform app.refuse('role_too_low', 'only owners may change what an organization requires of its members');
  end if;
  if (p_changes ->> 'require_two_factor')::boolean and not exists (
    select from auth.users u where u.id = app.current_session_user_id() and u.two_factor_enabled
  ) then
    perform app.refuse('two_factor_required', 'switch two-factor sign-in on for your own account first');
  end if;
  update auth.organizations o
  set
    name = coalesce(p_changes ->> 'name', o.name),
    slug = coalesce(p_changes ->> 'slug', o.slug),
    logo = case when p_changes ? 'logo' then p_changes ->> 'logo' else o.logo end,
    require_two_factor = coalesce((p_changes ->> 'require_two_factor')::boolean, o.require_two_factor),
    allow_self_approval = coalesce((p_changes ->> 'allow_self_approval')::boolean, o.allow_self_approval)
  where o.id = p_id;
  return query select * from app.own_organizations(p_id);
end
$$;
comment on function app.update_organization(uuid, jsonb) is
  'Changes the columns that p_changes names: name, slug, logo, and by owners require_two_factor and allow_self_approval.';

create function app.remove_organization(p_id uuid, out id uuid, out deleted_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  role text := app.lock_organization(p_id);
  deletion uuid := app.new_id();
begin
  if role is null then
    return;
  end if;
  if role <> 'owner' then
    perform app.refuse('role_too_low', 'only owners may remove an organization');
  end if;
  update auth.organizations o set deleted_at = now(), deletion_id = deletion
  where o.id = p_id
  returning o.id, o.deleted_at into id, deleted_at;
  perform app.mark_with_organization(p_id, deletion);
end
$$;
comment on function app.remove_organization(uuid) is
  'Hides an organization from everyone and marks what is bound to it. Nulls where it is not the caller''s.';

create function app.restore_organization(p_id uuid, p_slug text) returns setof app.own_organization
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
  removed record;
begin
  -- To all but its owners it is gone.
  if not exists (
    select from auth.members m where m.organization_id = p_id and m.user_id = caller and m.role = 'owner'
  ) then
    return;
  end if;
  select o.deleted_at, o.deletion_id into removed
  from auth.organizations o
  where o.id = p_id and (o.deleted_at is null or o.deleted_at > now() - interval '30 days')
  for update;
  if not found then
    return;
  end if;
  if removed.deleted_at is null then
    perform app.refuse('illegal_transition', 'the organization is not removed');
  end if;
  update auth.organizations o set deleted_at = null, deletion_id = null, slug = coalesce(p_slug, o.slug)
  where o.id = p_id;
  perform app.unmark_with_organization(p_id, removed.deletion_id);
  return query select * from app.own_organizations(p_id);
end
$$;
comment on function app.restore_organization(uuid, text) is
  'Brings an organization back that an owner removed within the last 30 days, perhaps under another slug: its own may be taken.';

create function app.leave_organization(p_id uuid) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  -- Open to those as well who lack the second factor that the organization requires.
  if not exists (select from auth.members m where m.organization_id = p_id and m.user_id = caller) then
    return false;
  end if;
  perform from auth.organizations o where o.id = p_id and o.deleted_at is null for update;
  if not found then
    return false;
  end if;
  delete from auth.members m where m.organization_id = p_id and m.user_id = caller;
  return found;
end
$$;
comment on function app.leave_organization(uuid) is 'Ends the caller''s membership; false where there is none.';

create function app.set_active_organization(p_id uuid) returns setof app.own_organization
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_id is null then
    perform app.activate_organization(null);
    return;
  end if;
  return query select * from app.own_organizations(p_id);
  if found then
    perform app.activate_organization(p_id);
  end if;
end
$$;
comment on function app.set_active_organization(uuid) is
  'Chooses the organization in which the caller''s session acts where a call names none; null for none.';

create function app.update_member_role(p_id uuid, p_user_id uuid, p_role text) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  role text := app.lock_organization(p_id);
  target record;
begin
  if role is null then
    return false;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may change roles');
  end if;
  select m.id, m.role into target from auth.members m where m.organization_id = p_id and m.user_id = p_user_id;
  if not found then
    return false;
  end if;
  if role <> 'owner' and 'owner' in (target.role, p_role) then
    perform app.refuse('role_too_low', 'only owners may make or lower owners');
  end if;
  update auth.members m set role = p_role where m.id = target.id;
  return true;
end
$$;
comment on function app.update_member_role(uuid, uuid, text) is
  'Gives a member another role; false where there is no such member. Raises members_last_owner_check.';

create function app.remove_member(p_id uuid, p_user_id uuid) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  role text := app.lock_organization(p_id);
  target record;
begin
  if role is null then
    return false;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may remove members');
  end if;
  select m.id, m.role into target from auth.members m where m.organization_id = p_id and m.user_id = p_user_id;
  if not found then
    return false;
  end if;
  if role <> 'owner' and target.role = 'owner' then
    perform app.refuse('role_too_low', 'only owners may remove owners');
  end if;
  delete from auth.members m where m.id = target.id;
  return true;
end
$$;
comment on function app.remove_member(uuid, uuid) is
  'Ends somebody''s membership; false where there is none. Raises members_last_owner_check.';

-- Not granted to anyone.
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
comment on function app.describe_invitations(uuid[]) is 'Invitations with the names of organization and inviter, newest first.';

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

  -- Each is a mail to somebody who did not ask for it: so many an hour to one address, and 20 times as many from one user.
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
  'Invites whoever can prove that the address is theirs, for 48 hours; cancels an earlier invitation of the same address. '
  'The caller, who sends the mail, says how many one address may get in an hour.';

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
  'The pending invitations of one of the caller''s organizations, expired ones included; without one, those that the caller received.';

-- Not granted to anyone.
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
comment on function app.require_pending(text, timestamptz) is 'Refuses an invitation that was answered, was taken back or has expired.';

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
  'Locks a pending invitation of the caller''s verified address; nulls where there is none. Not granted to anyone.';

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
  'Makes the caller a member of the organization that invited their verified address, and their session act in it.';

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
comment on function app.decline_invitation(uuid) is 'Turns an invitation of the caller''s verified address down.';

grant execute on function
  app.current_organization_role(),
  app.own_organizations(uuid),
  app.create_organization(text, text, text),
  app.update_organization(uuid, jsonb),
  app.remove_organization(uuid),
  app.restore_organization(uuid, text),
  app.leave_organization(uuid),
  app.set_active_organization(uuid),
  app.update_member_role(uuid, uuid, text),
  app.remove_member(uuid, uuid),
  app.create_invitation(uuid, text, text, integer),
  app.list_invitations(uuid),
  app.cancel_invitation(uuid),
  app.accept_invitation(uuid),
  app.decline_invitation(uuid)
to rowhouse_api;

-- migrate:down

drop trigger members_cancel_invitations on auth.members;
drop function app.decline_invitation(uuid);
drop function app.accept_invitation(uuid);
drop function app.lock_received_invitation(uuid);
drop function app.cancel_invitation(uuid);
drop function app.require_pending(text, timestamptz);
drop function app.list_invitations(uuid);
drop function app.create_invitation(uuid, text, text, integer);
drop function app.describe_invitations(uuid[]);
drop function app.remove_member(uuid, uuid);
drop function app.update_member_role(uuid, uuid, text);
drop function app.set_active_organization(uuid);
drop function app.leave_organization(uuid);
drop function app.restore_organization(uuid, text);
drop function app.remove_organization(uuid);
drop function app.update_organization(uuid, jsonb);
drop function app.create_organization(text, text, text);
drop function app.unmark_with_organization(uuid, uuid);
drop function app.mark_with_organization(uuid, uuid);
drop function app.activate_organization(uuid);
drop function app.lock_organization(uuid);
drop function app.require_second_factor(uuid, uuid);
drop function app.refuse(text, text);
drop function app.own_organizations(uuid);
drop function app.current_organization_role();
drop function auth.cancel_former_inviters_invitations();
drop type app.invitation;
drop type app.own_organization;

create or replace function app.current_user_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  case left(credential, 2)
    when 's:' then
      return (
        select s.user_id from auth.sessions s
        where s.token = encode(sha256(decode(substr(credential, 3), 'hex')), 'hex') and s.expires_at > now()
      );
    when 't:' then
      return (
        select t.user_id from app.api_tokens t
        where t.token_hash = sha256(decode(substr(credential, 3), 'hex'))
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
      );
    else
      return null;
  end case;
end
$$;

create or replace function app.live_lease(p_credential text, out user_id uuid, out task_id uuid, out lease_id uuid)
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

create or replace function app.member_organization_ids() returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_user_id();
  credential text := current_setting('app.credential', true);
  bound uuid;
begin
  if caller is null then
    return '{}';
  end if;
  if left(credential, 2) = 't:' then
    select t.organization_id into bound from app.api_tokens t
    where t.token_hash = sha256(decode(substr(credential, 3), 'hex'));
  end if;
  return array(
    select m.organization_id from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.user_id = caller and (bound is null or m.organization_id = bound)
  );
end
$$;
comment on function app.member_organization_ids() is
  'The organizations in which the caller may act: all they belong to, or the one that their API token is bound to.';
drop function app.lacks_second_factor(uuid, uuid);

comment on function app.authenticate(text, uuid, text) is
  'Turns a credential into a caller, or raises: 28000 unauthenticated or lease_lost; 42501 missing_scope or not_a_member.';
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

alter table app.api_tokens drop column deletion_id;
alter policy all_auth on auth.invitations using (true) with check (true);
alter policy all_auth on auth.members using (true) with check (true);
alter policy all_auth on auth.organizations using (true) with check (true);
comment on table auth.organizations is 'Teams. Deleting one hides it; its row and its slug stay for 30 days, so that it can be restored.';
drop index auth.organizations_slug_key;
alter table auth.organizations add constraint organizations_slug_key unique (slug);
