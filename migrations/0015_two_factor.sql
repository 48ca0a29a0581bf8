-- The second factor: what a session must show before it exists, and what the factor keeps beside Better Auth's own columns.
--
-- Better Auth asks for a second factor after a sign-in by password only. Here the table of sessions asks: a row for a user who
-- has the factor is refused unless it says when the factor was given, whatever made it. So there is no half signed-in session
-- that some reader of the table could take for a whole one. The server fills the column in after a code, from the session that
-- asks, or from a device that was trusted after a code.

-- migrate:up

alter table auth.sessions add column second_factor_at timestamptz;
comment on column auth.sessions.second_factor_at is
  'When the second factor that stands behind the session was given; null where its user had none.';

alter table auth.two_factors add column last_used_step bigint not null default 0;
comment on column auth.two_factors.last_used_step is
  'The newest 30-second step whose code was used: this one and all before it are spent.';

create function auth.ask_second_factor() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  has_factor boolean;
begin
  if new.second_factor_at is not null then
    return new;
  end if;
  -- The lock makes a sign-in and the moment that the factor is switched on take turns: whichever is second sees the other. It
  -- is taken whether the factor is on or not, since a condition would be read before it.
  select u.two_factor_enabled into has_factor from auth.users u where u.id = new.user_id for share;
  if has_factor then
    raise exception 'the second factor is missing'
      using errcode = 'check_violation', constraint = 'sessions_second_factor_check', table = 'sessions', schema = 'auth';
  end if;
  return new;
end
$$;
comment on function auth.ask_second_factor() is
  'Refuses a session without the second factor to a user who has one.';
create trigger sessions_ask_second_factor before insert on auth.sessions
  for each row execute function auth.ask_second_factor();

create table auth.trusted_devices (
  id uuid not null default app.new_id(),
  user_id uuid not null,
  token_hash bytea not null,
  second_factor_at timestamptz not null default now(),
  expires_at timestamptz not null,
  user_agent text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint trusted_devices_pkey primary key (id),
  constraint trusted_devices_token_hash_key unique (token_hash),
  constraint trusted_devices_token_hash_check check (octet_length(token_hash) = 32),
  constraint trusted_devices_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.trusted_devices is
  'Browsers that gave a second factor and are not asked for it again until they expire; the cookie''s value is stored hashed.';
create index trusted_devices_user_id_idx on auth.trusted_devices (user_id);
create index trusted_devices_expires_at_idx on auth.trusted_devices (expires_at);
alter table auth.trusted_devices enable row level security;
create policy all_auth on auth.trusted_devices for all to rowhouse_auth using (true) with check (true);
grant select, insert, update, delete on auth.trusted_devices to rowhouse_auth;
create trigger trusted_devices_touch_updated_at before update on auth.trusted_devices
  for each row execute function app.touch_updated_at();

create function auth.follow_two_factor() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.two_factor_enabled then
    update auth.two_factors t set verified = true where t.user_id = new.id and not t.verified;
    -- Made with less than is asked for from now on.
    delete from auth.sessions s where s.user_id = new.id and s.second_factor_at is null;
  else
    delete from auth.two_factors t where t.user_id = new.id;
    delete from auth.trusted_devices d where d.user_id = new.id;
  end if;
  return null;
end
$$;
comment on function auth.follow_two_factor() is
  'With the factor switched on, its secret counts and sessions without it end; switched off, secret, codes and trusted devices go.';
create trigger users_follow_two_factor after update of two_factor_enabled on auth.users
  for each row when (old.two_factor_enabled is distinct from new.two_factor_enabled)
  execute function auth.follow_two_factor();

create function auth.forget_trusted_devices() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.trusted_devices d where d.user_id = new.user_id;
  return null;
end
$$;
comment on function auth.forget_trusted_devices() is 'A new password ends the trust in every device.';
create trigger accounts_forget_trusted_devices_on_insert after insert on auth.accounts
  for each row when (new.password is not null)
  execute function auth.forget_trusted_devices();
create trigger accounts_forget_trusted_devices after update of password on auth.accounts
  for each row when (old.password is distinct from new.password)
  execute function auth.forget_trusted_devices();

create function app.sweep_sign_ins() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  sessions integer;
  devices integer;
  proofs integer;
begin
  delete from auth.sessions s
  where s.id in (
    select old.id from auth.sessions old
    where old.expires_at < now() - interval '1 day'
    order by old.expires_at
    limit 1000
    for update skip locked
  );
  get diagnostics sessions = row_count;
  delete from auth.trusted_devices d
  where d.id in (
    select old.id from auth.trusted_devices old
    where old.expires_at < now() - interval '1 day'
    order by old.expires_at
    limit 1000
    for update skip locked
  );
  get diagnostics devices = row_count;
  delete from auth.verifications v
  where v.id in (
    select old.id from auth.verifications old
    where old.expires_at < now() - interval '1 day'
    order by old.expires_at
    limit 1000
    for update skip locked
  );
  get diagnostics proofs = row_count;
  return sessions + devices + proofs;
end
$$;
comment on function app.sweep_sign_ins() is
  'Removes sessions, trusted devices and verifications that expired more than a day ago, at most a thousand of each, and returns how many.';
grant execute on function app.sweep_sign_ins() to rowhouse_system;

create or replace function app.export_account() returns table (source text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  return query
    select 'users', to_jsonb(u) from auth.users u where u.id = caller
    union all
    select 'sessions', to_jsonb(s) - 'token' from auth.sessions s where s.user_id = caller
    union all
    select 'accounts', to_jsonb(a) - array['password', 'access_token', 'refresh_token', 'id_token']
    from auth.accounts a where a.user_id = caller
    union all
    select 'two_factors', to_jsonb(t) - array['secret', 'backup_codes'] from auth.two_factors t where t.user_id = caller
    union all
    select 'trusted_devices', to_jsonb(d) - 'token_hash' from auth.trusted_devices d where d.user_id = caller
    union all
    select 'members', to_jsonb(m) from auth.members m where m.user_id = caller
    union all
    select 'invitations', to_jsonb(i) from auth.invitations i where i.inviter_id = caller;
end
$$;

-- migrate:down

create or replace function app.export_account() returns table (source text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  return query
    select 'users', to_jsonb(u) from auth.users u where u.id = caller
    union all
    select 'sessions', to_jsonb(s) - 'token' from auth.sessions s where s.user_id = caller
    union all
    select 'accounts', to_jsonb(a) - array['password', 'access_token', 'refresh_token', 'id_token']
    from auth.accounts a where a.user_id = caller
    union all
    select 'two_factors', to_jsonb(t) - array['secret', 'backup_codes'] from auth.two_factors t where t.user_id = caller
    union all
    select 'members', to_jsonb(m) from auth.members m where m.user_id = caller
    union all
    select 'invitations', to_jsonb(i) from auth.invitations i where i.inviter_id = caller;
end
$$;

drop function app.sweep_sign_ins();
drop trigger accounts_forget_trusted_devices on auth.accounts;
drop trigger accounts_forget_trusted_devices_on_insert on auth.accounts;
drop function auth.forget_trusted_devices();
drop trigger users_follow_two_factor on auth.users;
drop function auth.follow_two_factor();
drop table auth.trusted_devices;
drop trigger sessions_ask_second_factor on auth.sessions;
drop function auth.ask_second_factor();
alter table auth.two_factors drop column last_used_step;
alter table auth.sessions drop column second_factor_at;
