-- What a user may know of their own account: profile, sessions, sign-in methods, memberships. The API login
-- can't read those columns in `auth`; these functions hand out the caller's own rows, and never a token or a
-- password.

-- migrate:up

create function app.current_account(
  out id uuid,
  out name text,
  out email text,
  out image text,
  out credential text,
  out organization_id uuid,
  out organization_role text,
  out scopes text[]
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  select u.id, u.name, u.email, u.image, a.kind, a.organization_id, a.organization_role, a.scopes
  into id, name, email, image, credential, organization_id, organization_role, scopes
  from app.authenticate(
    current_setting('app.credential', true), nullif(current_setting('app.organization', true), '')::uuid, 'any+lease'
  ) a
  join auth.users u on u.id = a.user_id;
end
$$;
comment on function app.current_account() is
  'The caller''s own profile, and what their credential is and allows; scopes are null for a session, which '
  'may do everything.';

create function app.list_sessions()
returns table (
  id uuid, is_current boolean, user_agent text, ip_address text, created_at timestamptz, expires_at timestamptz
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select
      s.id, s.token = encode(app.credential_digest(current_setting('app.credential', true)), 'hex'),
      s.user_agent, s.ip_address, s.created_at, s.expires_at
    from auth.sessions s
    where s.user_id = app.current_session_user_id() and s.expires_at > now()
    order by s.id desc;
end
$$;
comment on function app.list_sessions() is
  'The sessions of the caller, who must be signed in with one; newest first.';

create function app.revoke_session(p_id uuid) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.sessions s where s.id = p_id and s.user_id = app.current_session_user_id();
  return found;
end
$$;
comment on function app.revoke_session(uuid) is
  'Ends one session of the caller; false where they have no such session.';

create function app.revoke_other_sessions() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  revoked integer;
begin
  delete from auth.sessions s
  where s.user_id = app.current_session_user_id()
    and s.token <> encode(app.credential_digest(current_setting('app.credential', true)), 'hex');
  get diagnostics revoked = row_count;
  return revoked;
end
$$;
comment on function app.revoke_other_sessions() is
  'Ends every session of the caller but the one that asks; returns how many.';

create function app.export_account() returns table (source text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  return query
    select 'users', to_jsonb(u) from auth.users u where u.id = caller
    union all
    select 'accounts', to_jsonb(a) - array['password', 'access_token', 'refresh_token', 'id_token']
    from auth.accounts a where a.user_id = caller
    union all
    select 'two_factors', to_jsonb(t) - array['secret', 'backup_codes'] from auth.two_factors t where t.user_id = caller
    union all
    select 'verifications', to_jsonb(v) - array['identifier', 'value'] from auth.verifications v where v.user_id = caller;
end
$$;
comment on function app.export_account() is
  'The caller''s rows in auth, without tokens and passwords, for an export.';

create function app.export_rows(p_source text, p_after uuid, p_limit integer) returns table (id uuid, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller uuid := app.current_session_user_id();
begin
  case p_source
    when 'sessions' then
      return query select s.id, to_jsonb(s) - 'token' from auth.sessions s
      where s.user_id = caller and s.id > p_after order by s.id limit p_limit;
    when 'members' then
      return query select m.id, to_jsonb(m) from auth.members m
      where m.user_id = caller and m.id > p_after order by m.id limit p_limit;
    when 'invitations' then
      return query select i.id, to_jsonb(i) from auth.invitations i
      where i.inviter_id = caller and i.id > p_after order by i.id limit p_limit;
    when 'trusted_devices' then
      return query select d.id, to_jsonb(d) - 'token_hash' from auth.trusted_devices d
      where d.user_id = caller and d.id > p_after order by d.id limit p_limit;
    else
      raise exception 'no rows to export of %', p_source using errcode = 'invalid_parameter_value';
  end case;
end
$$;
comment on function app.export_rows(text, uuid, integer) is
  'A batch of the caller''s rows of a table in auth that may have many, by id; without tokens and hashes.';

create function app.close_account(p_user_id uuid) returns uuid[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  mine uuid[];
  jobs uuid[];
begin
  perform from auth.organizations o
  where o.id in (select m.organization_id from auth.members m where m.user_id = p_user_id and m.role = 'owner')
  order by o.id
  for update;
  mine := array(
    select m.organization_id from auth.members m
    where m.user_id = p_user_id and m.role = 'owner'
      and not exists (
        select from auth.members other
        where other.organization_id = m.organization_id and other.role = 'owner' and other.user_id <> p_user_id
      )
  );
  if exists (
    select from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.organization_id = any (mine) and m.user_id <> p_user_id
  ) then
    raise exception 'an organization keeps at least one owner'
      using errcode = 'check_violation', constraint = 'members_last_owner_check', table = 'members', schema = 'auth';
  end if;
  -- The address is free at once, and nothing that is kept says whose row this was.
  update auth.users u
  set
    removed_at = now(), name = 'removed', email = 'removed-' || u.id || '@removed.invalid', email_verified = false, image = null
  where u.id = p_user_id and u.removed_at is null;
  if not found then
    return '{}';
  end if;
  jobs := array(select app.begin_erasure('auth.organizations', jsonb_build_object('id', id)) from unnest(mine) id)
    || app.begin_erasure('auth.users', jsonb_build_object('id', p_user_id));
  update auth.organizations o
  set deleted_at = coalesce(o.deleted_at, now()), deletion_id = coalesce(o.deletion_id, app.new_id())
  where o.id = any (mine);
  -- Every credential is dead from the moment that removed_at is set, and reset links ended with the address.
  -- These go at once, so that what signs in can be used for another account.
  delete from auth.members m where m.user_id = p_user_id;
  delete from auth.accounts a where a.user_id = p_user_id;
  delete from auth.two_factors t where t.user_id = p_user_id;
  delete from auth.trusted_devices d where d.user_id = p_user_id;
  delete from auth.sessions s where s.id in (select old.id from auth.sessions old where old.user_id = p_user_id limit 1000);
  return jobs;
end
$$;
comment on function app.close_account(uuid) is
  'Hides a user from everybody and ends all they sign in with; returns the jobs that delete what they own, '
  'organizations without other members included. Raises members_last_owner_check where others would be left '
  'without an owner.';

create function app.remove_account() returns uuid[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  if caller is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;
  return app.close_account(caller);
end
$$;
comment on function app.remove_account() is
  'Removes the caller, as app.close_account does. Their rows are deleted in batches.';

grant execute on function
  app.current_account, app.list_sessions, app.revoke_session, app.revoke_other_sessions, app.export_account,
  app.export_rows, app.remove_account
to rowhouse_api;

-- migrate:down

drop function
  app.current_account, app.list_sessions, app.revoke_session, app.revoke_other_sessions, app.export_account,
  app.export_rows, app.close_account, app.remove_account;
