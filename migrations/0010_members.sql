-- Members of an organization: their roles, and how they leave.
--
-- As for organizations: each function locks the organization and only then looks the caller's role up.

-- migrate:up

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
comment on function app.leave_organization(uuid) is
  'Ends the caller''s membership; false where there is none.';

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

grant execute on function app.leave_organization, app.update_member_role, app.remove_member to rowhouse_api;

-- migrate:down

drop function app.leave_organization, app.update_member_role, app.remove_member;
