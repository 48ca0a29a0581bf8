-- The caller: the functions that tell policies, column defaults and procedures who is asking.
--
-- Each looks up the credential that app.sign_in left in the transaction, and returns null where it opens
-- nothing.

-- migrate:up

create function app.current_user_id() returns uuid
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
        where s.token = encode(app.credential_digest(credential), 'hex') and s.expires_at > now()
          and not exists (select from auth.users u where u.id = s.user_id and u.removed_at is not null)
      );
    when 't:' then
      return (
        select t.user_id from app.api_tokens t
        where t.token_hash = app.credential_digest(credential)
          and app.is_live(t)
          and not exists (select from auth.users u where u.id = t.user_id and u.removed_at is not null)
      );
    else
      return null;
  end case;
end
$$;
comment on function app.current_user_id() is
  'The user whose session or API token this transaction carries; null for nobody.';

create function app.current_session_user_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if left(current_setting('app.credential', true), 2) = 's:' then
    return app.current_user_id();
  end if;
  return null;
end
$$;
comment on function app.current_session_user_id() is
  'The user who is signed in with a session; null under an API token, so that a token cannot make or change '
  'tokens.';

create function app.current_session_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 's:' then
    return (
      select s.id from auth.sessions s
      where s.token = encode(app.credential_digest(credential), 'hex') and s.expires_at > now()
    );
  end if;
  return null;
end
$$;
comment on function app.current_session_id() is
  'The session that this transaction carries; null under any other credential.';

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
comment on function app.leased_user_id() is
  'The owner of the task that this transaction''s lease opens; null without a lease.';

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
comment on function app.leased_task_id() is
  'The one task that this transaction''s lease opens; null without a lease.';

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

-- The next two are inlined, as app.credential_digest is.
create function app.holds_lease() returns boolean
language sql stable parallel safe
return left(current_setting('app.credential', true), 2) = 'l:';
comment on function app.holds_lease() is
  'Whether this transaction acts under a lease, one that has ended included.';

create function app.current_owner_id() returns uuid
language sql stable parallel safe
return case when app.holds_lease() then app.leased_user_id() else app.current_user_id() end;
comment on function app.current_owner_id() is
  'Whose row an insert makes, and whose tasks a statement reads: the caller''s, or under a lease its '
  'task''s owner''s. A policy for reading binds a lease to its task, too.';

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

create function app.member_organization_ids() returns uuid[]
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
    where t.token_hash = app.credential_digest(credential);
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
  'The organizations in which the caller may act: all they belong to, or the one that their API token is '
  'bound to, without those that require a second factor of a caller who has none.';

create function app.current_organization_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  wanted uuid := nullif(current_setting('app.organization', true), '')::uuid;
begin
  if wanted = any (app.member_organization_ids()) then
    return wanted;
  end if;
  return null;
end
$$;
comment on function app.current_organization_id() is
  'The organization in which the caller acts, as long as they are a member of it; null for none.';

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
  'As what the caller belongs to the organization in which they act; null for none. For policies of what an '
  'organization owns.';

create function app.known_user_ids() returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select app.current_user_id()
    union
    select m.user_id from auth.members m where m.organization_id = any (app.member_organization_ids())
  );
end
$$;
comment on function app.known_user_ids() is
  'The users whose name and image the caller may see: themselves and fellow members.';

create function app.removed_user_ids() returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return array(select u.id from auth.users u where u.removed_at is not null);
end
$$;
comment on function app.removed_user_ids() is
  'The users who are removed and whose rows are not all deleted yet. For policies that show rows of others.';

create function app.pending_parent_ids(p_parent text) returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return case p_parent
    when 'app.media_items' then array(
      select m.id from app.erasures e
      join app.media_items m on m.user_id = (e.key ->> 'user_id')::uuid and m.id = (e.key ->> 'id')::uuid
      where e.finished_at is null and e.parent = 'app.media_items' and m.deleted_at is not null
    )
    when 'auth.organizations' then array(
      select o.id from app.erasures e
      join auth.organizations o on o.id = (e.key ->> 'id')::uuid
      where e.finished_at is null and e.parent = 'auth.organizations' and o.deleted_at is not null
    )
  end;
end
$$;
comment on function app.pending_parent_ids(text) is
  'Removed media items, or organizations, whose content does not all follow them yet: it is gone for '
  'readers all the same.';

grant execute on function app.removed_user_ids, app.pending_parent_ids to rowhouse_api, rowhouse_public;
grant execute on function
  app.current_user_id, app.current_session_user_id, app.current_session_id, app.leased_user_id,
  app.leased_task_id, app.leased_id, app.holds_lease, app.current_owner_id,
  app.member_organization_ids, app.current_organization_id, app.current_organization_role, app.known_user_ids
to rowhouse_api;

-- migrate:down

drop function
  app.current_user_id, app.current_session_user_id, app.current_session_id, app.leased_user_id,
  app.leased_task_id, app.leased_id, app.holds_lease, app.current_owner_id,
  app.lacks_second_factor, app.member_organization_ids, app.current_organization_id,
  app.current_organization_role, app.known_user_ids, app.removed_user_ids, app.pending_parent_ids;
