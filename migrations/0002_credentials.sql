-- Who is asking: API tokens, the sign-in that rides in front of every statement, and the functions that policies call.
--
-- A caller presents a secret. What travels here is a kind and the SHA-256 of the secret ('s:<hex>' for a session, 't:<hex>'
-- for an API token); what is stored is the SHA-256 of that. app.sign_in checks it and keeps it in the transaction-local
-- setting app.credential. Policies look the credential up again, so that a setting made by hand names nobody whose secret
-- its maker does not hold.

-- migrate:up

create table app.api_tokens (
  user_id uuid not null,
  id uuid not null default app.new_id(),
  organization_id uuid,
  name text not null,
  prefix text not null,
  token_hash bytea not null,
  scopes text[] not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  replaced_by uuid,
  grace_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint api_tokens_pkey primary key (user_id, id),
  constraint api_tokens_token_hash_key unique (token_hash),
  constraint api_tokens_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  -- Only a member can bind a token to an organization, and the token ends with the membership.
  constraint api_tokens_organization_id_user_id_fkey foreign key (organization_id, user_id)
    references auth.members (organization_id, user_id) on delete cascade,
  constraint api_tokens_user_id_replaced_by_fkey foreign key (user_id, replaced_by)
    references app.api_tokens (user_id, id) on delete set null (replaced_by),
  constraint api_tokens_name_check check (length(name) between 1 and 100),
  constraint api_tokens_token_hash_check check (octet_length(token_hash) = 32)
);
comment on table app.api_tokens is 'Credentials for programs: shown once, stored as a hash of a hash, with scopes of their own.';
comment on column app.api_tokens.grace_until is 'Set when the token was rotated: it is refused from then on.';
create index api_tokens_organization_id_idx on app.api_tokens (organization_id, user_id);
create index api_tokens_user_id_replaced_by_idx on app.api_tokens (user_id, replaced_by);

create trigger api_tokens_touch_updated_at before update on app.api_tokens
  for each row execute function app.touch_updated_at();

create type app.caller as (
  user_id uuid,
  kind text,
  credential_id uuid,
  organization_id uuid,
  organization_role text,
  scopes text[],
  is_touch_due boolean,
  is_slide_due boolean
);
comment on type app.caller is 'Who asks, by which credential, where and as what; scopes are null for a session, which may do everything.';

create function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
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

create function app.sign_in(
  p_credential text,
  p_organization uuid,
  p_scope text,
  p_is_read_only boolean,
  p_timeout_ms integer
)
returns app.caller
language plpgsql volatile
as $$
declare
  caller app.caller := app.authenticate(p_credential, p_organization, p_scope);
  ignored pg_catalog.text;
begin
  -- Runs as the caller and pins no search_path, because what it sets must outlast it; hence the qualified names. It rides in
  -- front of every statement, and each of its expressions is set up anew in every transaction; hence so few of them.
  ignored := pg_catalog.concat(
    pg_catalog.set_config('app.credential', p_credential, true),
    pg_catalog.set_config('app.organization', coalesce(caller.organization_id::pg_catalog.text, ''), true),
    pg_catalog.set_config('statement_timeout', p_timeout_ms::pg_catalog.text, true),
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
    -- Every statement leads with its owner's key, so knowing the values makes no better plan; and a page of an owner with
    -- many rows would be planned again on each call.
    pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
    case when p_is_read_only then pg_catalog.set_config('transaction_read_only', 'on', true) end
  );
  -- What a statement before this one may have left on a shared connection, and what would change how ours is read.
  if pg_catalog.concat_ws(
    '/',
    pg_catalog.current_setting('row_security'),
    pg_catalog.current_setting('bytea_output'),
    pg_catalog.current_setting('transform_null_equals'),
    pg_catalog.current_setting('lock_timeout'),
    pg_catalog.current_setting('extra_float_digits'),
    pg_catalog.current_setting('DateStyle'),
    pg_catalog.current_setting('IntervalStyle'),
    pg_catalog.current_setting('TimeZone')
  ) operator(pg_catalog.<>) 'on/hex/off/0/1/ISO, MDY/postgres/UTC' then
    perform
      pg_catalog.set_config('row_security', 'on', true),
      pg_catalog.set_config('bytea_output', 'hex', true),
      pg_catalog.set_config('transform_null_equals', 'off', true),
      pg_catalog.set_config('lock_timeout', '0', true),
      pg_catalog.set_config('extra_float_digits', '1', true),
      pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
      pg_catalog.set_config('IntervalStyle', 'postgres', true),
      pg_catalog.set_config('TimeZone', 'UTC', true);
  end if;
  return caller;
end
$$;
comment on function app.sign_in(text, uuid, text, boolean, integer) is
  'Rides in front of every statement: authenticates its caller and sets, for this transaction only, all that policies read.';

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
comment on function app.current_user_id() is 'The user whose session or API token this transaction carries; null for nobody.';

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
  'The user who is signed in with a session; null under an API token, so that a token cannot make or change tokens.';

create function app.current_owner_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return app.current_user_id();
end
$$;
comment on function app.current_owner_id() is 'Whose row an insert makes. Used in column defaults and nowhere else.';

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
comment on function app.known_user_ids() is 'The users whose name and image the caller may see: themselves and fellow members.';

alter table app.api_tokens alter column user_id set default app.current_owner_id();
alter table app.api_tokens enable row level security;
create policy select_owner on app.api_tokens for select to rowhouse_api
  using (user_id = (select app.current_session_user_id()));
create policy insert_owner on app.api_tokens for insert to rowhouse_api
  with check (user_id = (select app.current_session_user_id()));
create policy update_owner on app.api_tokens for update to rowhouse_api
  using (user_id = (select app.current_session_user_id()))
  with check (user_id = (select app.current_session_user_id()));
grant
  select (
    user_id, id, organization_id, name, prefix, scopes, expires_at, last_used_at, revoked_at, replaced_by, grace_until,
    created_at, updated_at
  ),
  insert (organization_id, name, prefix, token_hash, scopes, expires_at),
  update (revoked_at, replaced_by, grace_until)
on app.api_tokens to rowhouse_api;

create policy select_known on auth.users for select to rowhouse_api
  using (id = any ((select app.known_user_ids())::uuid[]));
grant select (id, name, image) on auth.users to rowhouse_api;
create policy select_member on auth.organizations for select to rowhouse_api
  using (id = any ((select app.member_organization_ids())::uuid[]));
grant select (id, name, slug, logo) on auth.organizations to rowhouse_api;
create policy select_member on auth.members for select to rowhouse_api
  using (organization_id = any ((select app.member_organization_ids())::uuid[]));
grant select (organization_id, user_id, role) on auth.members to rowhouse_api;

create function app.touch_credential() returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  case left(credential, 2)
    when 's:' then
      update auth.sessions s
      set
        last_used_at = now(),
        expires_at = case
          when s.slides and s.expires_at < now() + interval '6 days' then now() + interval '7 days'
          else s.expires_at
        end
      where s.token = encode(sha256(decode(substr(credential, 3), 'hex')), 'hex')
        and s.expires_at > now()
        and (s.last_used_at < now() - interval '1 minute' or s.slides and s.expires_at < now() + interval '6 days');
    when 't:' then
      update app.api_tokens t
      set last_used_at = now()
      where t.token_hash = sha256(decode(substr(credential, 3), 'hex'))
        and (t.last_used_at is null or t.last_used_at < now() - interval '1 minute');
    else
      null;
  end case;
end
$$;
comment on function app.touch_credential() is
  'Notes that the caller''s credential was used, at most once a minute, and prolongs a session that slides.';

grant execute on function
  app.authenticate(text, uuid, text),
  app.sign_in(text, uuid, text, boolean, integer),
  app.current_user_id(),
  app.current_session_user_id(),
  app.current_owner_id(),
  app.member_organization_ids(),
  app.current_organization_id(),
  app.known_user_ids(),
  app.touch_credential()
to rowhouse_api;

do $$
begin
  if to_regclass('public.rowhouse_migrations') is not null then
    grant select on public.rowhouse_migrations to rowhouse_api;
  end if;
end
$$;

-- migrate:down

drop function app.touch_credential();
drop policy select_known on auth.users;
drop policy select_member on auth.organizations;
drop policy select_member on auth.members;
revoke select (id, name, image) on auth.users from rowhouse_api;
revoke select (id, name, slug, logo) on auth.organizations from rowhouse_api;
revoke select (organization_id, user_id, role) on auth.members from rowhouse_api;
drop table app.api_tokens;
drop function app.known_user_ids();
drop function app.current_organization_id();
drop function app.member_organization_ids();
drop function app.current_owner_id();
drop function app.current_session_user_id();
drop function app.current_user_id();
drop function app.sign_in(text, uuid, text, boolean, integer);
drop function app.authenticate(text, uuid, text);
drop type app.caller;
