-- Organizations: made, changed, removed and restored, and the one that a session acts in.
--
-- The tables are Better Auth's, and so are the rules: owners may do everything, admins all but touch owners
-- and end the organization, members read. Procedures go through the functions below, each of which derives
-- its caller from the transaction's credential, locks the organization and only then looks the caller's role
-- up. So whoever is removed or lowered meanwhile changes nothing any more, and the last of several who act at
-- once finds what the others left.
--
-- What a function refuses, it raises with the SQLSTATE RH001: the message is the reason, the detail a
-- sentence, the hint perhaps the time at which to try again. What is not the caller's to know of, it answers
-- with nothing. A function without a grant is called by the others.

-- migrate:up

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
  'The organizations to which the caller, signed in with a session, belongs, newest first; or the one of '
  'this id.';

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
  'Locks one of the caller''s organizations and tells their role in it, as it is under the lock; null where '
  'it is not theirs.';

create function app.activate_organization(p_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.sessions s set active_organization_id = p_id
  where s.token = encode(app.credential_digest(current_setting('app.credential', true)), 'hex')
    and s.user_id = app.current_session_user_id();
end
$$;
comment on function app.activate_organization(uuid) is
  'Makes an organization the one in which the caller''s session acts.';

create function app.mark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.follow('auth.organizations', jsonb_build_object('id', p_id), p_deletion_id);
end
$$;
comment on function app.mark_with_organization(uuid, uuid) is 'Marks what goes with an organization.';

create function app.unmark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.follow('auth.organizations', jsonb_build_object('id', p_id), p_deletion_id);
end
$$;
comment on function app.unmark_with_organization(uuid, uuid) is
  'Brings back what went with an organization, and nothing else.';

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
  'Changes the columns that p_changes names: name, slug, logo, and by owners require_two_factor and '
  'allow_self_approval.';

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
  'Brings an organization back that an owner removed within the last 30 days, perhaps under another slug: '
  'its own may be taken.';

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

grant execute on function
  app.own_organizations, app.create_organization, app.update_organization, app.remove_organization,
  app.restore_organization, app.set_active_organization
to rowhouse_api;

-- migrate:down

drop function
  app.own_organizations, app.require_second_factor, app.lock_organization, app.activate_organization,
  app.mark_with_organization, app.unmark_with_organization, app.create_organization, app.update_organization,
  app.remove_organization, app.restore_organization, app.set_active_organization;
drop type app.own_organization;
