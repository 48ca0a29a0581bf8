-- Roles, the two schemas, and the tables that Better Auth keeps.
--
-- Four logins serve; none owns anything, may bypass row-level security or belongs to another role. Roles are shared by all
-- databases of a cluster, so they are created when missing and never dropped here; their passwords are set after migrating,
-- from AUTH_SECRET, and appear in no file.
--
-- Better Auth reads and writes `auth` as rowhouse_auth. The API sees a few columns of the rows that its caller may know;
-- those policies follow in 0002, with the functions that tell who is asking.

-- migrate:up

do $$
declare
  login text;
begin
  foreach login in array array['rowhouse_api', 'rowhouse_public', 'rowhouse_auth', 'rowhouse_system'] loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = login) then
        execute format('create role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls', login);
      end if;
    exception
      -- Another database of the cluster is being migrated at the same moment.
      when duplicate_object or unique_violation then null;
    end;
  end loop;
end
$$;

alter default privileges revoke execute on functions from public;

create schema auth;
create schema app;
comment on schema auth is 'Users, sessions and organizations: Better Auth''s tables.';
comment on schema app is 'Everything that users and organizations own, and the functions that tell who is asking.';

grant usage on schema auth to rowhouse_auth, rowhouse_api;
grant usage on schema app to rowhouse_api, rowhouse_public, rowhouse_system;

create function app.new_id() returns uuid
language plpgsql volatile parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  micros bigint;
begin
  if current_setting('server_version_num')::int >= 180000 then
    return uuidv7();
  end if;
  -- RFC 9562, section 5.7, with method 3 of section 6.2: the 12 bits behind the version count fractions of a millisecond.
  micros := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
  return encode(
    set_byte(
      set_byte(
        overlay(uuid_send(gen_random_uuid()) placing substring(int8send(micros / 1000) from 3) from 1 for 6),
        6, (112 | ((micros % 1000) * 4096 / 1000 >> 8))::int
      ),
      7, ((micros % 1000) * 4096 / 1000 & 255)::int
    ),
    'hex'
  )::uuid;
end
$$;
comment on function app.new_id() is 'A UUIDv7: the server''s own where it has one (PostgreSQL 18), else an equivalent.';
grant execute on function app.new_id() to rowhouse_api, rowhouse_auth, rowhouse_system;

create function app.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function app.touch_updated_at() is 'Keeps updated_at; one trigger a table.';

create table auth.users (
  id uuid not null default app.new_id(),
  name text not null,
  email text not null,
  email_verified boolean not null default false,
  image text,
  two_factor_enabled boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_pkey primary key (id),
  constraint users_email_key unique (email)
);
comment on table auth.users is 'People who can sign in.';

create table auth.organizations (
  id uuid not null default app.new_id(),
  name text not null,
  slug text not null,
  logo text,
  metadata text,
  require_two_factor boolean not null default false,
  allow_self_approval boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  deletion_id uuid,
  constraint organizations_pkey primary key (id),
  constraint organizations_slug_key unique (slug)
);
comment on table auth.organizations is 'Teams. Deleting one hides it; its row and its slug stay for 30 days, so that it can be restored.';

create table auth.sessions (
  id uuid not null default app.new_id(),
  user_id uuid not null,
  token text not null,
  expires_at timestamptz not null,
  slides boolean not null default true,
  last_used_at timestamptz not null default now(),
  ip_address text,
  user_agent text,
  active_organization_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint sessions_pkey primary key (id),
  constraint sessions_token_key unique (token),
  constraint sessions_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint sessions_active_organization_id_fkey foreign key (active_organization_id)
    references auth.organizations (id) on delete set null
);
comment on table auth.sessions is 'Sign-ins that last. A token is stored as the SHA-256 of the SHA-256 of the secret, in hex.';
comment on column auth.sessions.slides is 'Whether use prolongs the session; false for one that was not to be remembered.';
create index sessions_user_id_idx on auth.sessions (user_id);
create index sessions_active_organization_id_idx on auth.sessions (active_organization_id);
create index sessions_expires_at_idx on auth.sessions (expires_at);

create function auth.set_session_slides() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Better Auth gives a session that is not to be remembered one day, and every other one a week.
  new.slides := new.expires_at - new.created_at > interval '2 days';
  return new;
end
$$;
comment on function auth.set_session_slides() is 'Tells a remembered session from one that ends after a day.';
create trigger sessions_set_slides before insert on auth.sessions
  for each row execute function auth.set_session_slides();

create table auth.accounts (
  id uuid not null default app.new_id(),
  user_id uuid not null,
  account_id text not null,
  provider_id text not null,
  access_token text,
  refresh_token text,
  id_token text,
  access_token_expires_at timestamptz,
  refresh_token_expires_at timestamptz,
  scope text,
  password text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint accounts_pkey primary key (id),
  constraint accounts_provider_id_account_id_key unique (provider_id, account_id),
  constraint accounts_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.accounts is 'Ways to sign in: a password or an external account. OAuth tokens are encrypted.';
create index accounts_user_id_idx on auth.accounts (user_id);

create table auth.verifications (
  id uuid not null default app.new_id(),
  identifier text not null,
  value text not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint verifications_pkey primary key (id)
);
comment on table auth.verifications is 'Pending password resets, mail verifications and sign-in states; identifiers are hashed.';
create index verifications_identifier_idx on auth.verifications (identifier);
create index verifications_expires_at_idx on auth.verifications (expires_at);

create table auth.members (
  id uuid not null default app.new_id(),
  organization_id uuid not null,
  user_id uuid not null,
  role text not null default 'member',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint members_pkey primary key (id),
  constraint members_organization_id_user_id_key unique (organization_id, user_id),
  constraint members_role_check check (role in ('owner', 'admin', 'member')),
  constraint members_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade,
  constraint members_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.members is 'Who belongs to an organization, and as what.';
create index members_user_id_idx on auth.members (user_id, organization_id);

create function auth.keep_last_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if old.role <> 'owner' or (tg_op = 'UPDATE' and new.role = 'owner' and new.organization_id = old.organization_id) then
    return coalesce(new, old);
  end if;
  -- Two owners who lower each other at once must take turns; the lock on their organization makes them.
  perform from auth.organizations o where o.id = old.organization_id for update;
  if not found then
    return coalesce(new, old);
  end if;
  if exists (
    select from auth.members m
    where m.organization_id = old.organization_id and m.role = 'owner' and m.id <> old.id
  ) then
    return coalesce(new, old);
  end if;
  -- A user who is being deleted takes the membership along where nobody else is left behind.
  if tg_op = 'DELETE'
    and not exists (select from auth.users u where u.id = old.user_id)
    and not exists (
      select from auth.members m where m.organization_id = old.organization_id and m.id <> old.id
    )
  then
    return old;
  end if;
  raise exception 'an organization keeps at least one owner'
    using errcode = 'check_violation', constraint = 'members_last_owner_check', table = 'members', schema = 'auth';
end
$$;
comment on function auth.keep_last_owner() is 'Refuses to remove or lower the last owner of an organization.';
create trigger members_keep_last_owner before update or delete on auth.members
  for each row execute function auth.keep_last_owner();

create table auth.invitations (
  id uuid not null default app.new_id(),
  organization_id uuid not null,
  inviter_id uuid not null,
  email text not null,
  role text not null default 'member',
  status text not null default 'pending',
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint invitations_pkey primary key (id),
  constraint invitations_role_check check (role in ('owner', 'admin', 'member')),
  constraint invitations_status_check check (status in ('pending', 'accepted', 'rejected', 'canceled')),
  constraint invitations_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade,
  constraint invitations_inviter_id_fkey foreign key (inviter_id) references auth.users (id) on delete cascade
);
comment on table auth.invitations is 'Invitations into an organization, by mail address.';
create index invitations_organization_id_idx on auth.invitations (organization_id, status);
create index invitations_inviter_id_idx on auth.invitations (inviter_id);
create index invitations_email_idx on auth.invitations (email);

create table auth.two_factors (
  id uuid not null default app.new_id(),
  user_id uuid not null,
  secret text not null,
  backup_codes text not null,
  verified boolean not null default true,
  failed_verification_count integer not null default 0,
  locked_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint two_factors_pkey primary key (id),
  constraint two_factors_user_id_key unique (user_id),
  constraint two_factors_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.two_factors is 'Second factors: an encrypted TOTP secret and backup codes a user.';

do $$
declare
  name text;
begin
  foreach name in array array[
    'users', 'organizations', 'sessions', 'accounts', 'verifications', 'members', 'invitations', 'two_factors'
  ] loop
    execute format('alter table auth.%I enable row level security', name);
    execute format('create policy all_auth on auth.%I for all to rowhouse_auth using (true) with check (true)', name);
    execute format('grant select, insert, update, delete on auth.%I to rowhouse_auth', name);
    execute format(
      'create trigger %I before update on auth.%I for each row execute function app.touch_updated_at()',
      name || '_touch_updated_at', name
    );
  end loop;
end
$$;

-- migrate:down

drop schema auth cascade;
drop schema app cascade;
alter default privileges grant execute on functions to public;
