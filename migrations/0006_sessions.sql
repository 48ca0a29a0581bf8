-- Sessions, and the second factor: what a session must show before it exists, and what the factor keeps.
--
-- Better Auth asks for a second factor after a sign-in by password only. Here the table of sessions asks: a
-- row for a user who has the factor is refused unless it says when the factor was given, whatever made it. So
-- there is no half signed-in session that some reader of the table could take for a whole one. The server
-- fills the column in after a code, from the session that asks, or from a device that was trusted after a
-- code.

-- migrate:up

create table auth.sessions (
  id uuid not null default app.new_id(),
  user_id uuid not null,
  token text not null,
  expires_at timestamptz not null,
  slides boolean not null default true,
  second_factor_at timestamptz,
  last_used_at timestamptz not null default now(),
  ip_address text,
  user_agent text,
  active_organization_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint sessions_pkey primary key (id),
  constraint sessions_token_key unique (token),
  constraint sessions_user_id_id_key unique (user_id, id),
  constraint sessions_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint sessions_active_organization_id_fkey foreign key (active_organization_id)
    references auth.organizations (id) on delete set null,
  constraint sessions_user_agent_check check (char_length(user_agent) <= 500)
);
comment on table auth.sessions is
  'Sign-ins that last. A token is stored as the SHA-256 of the SHA-256 of the secret, in hex.';
comment on column auth.sessions.slides is
  'Whether use prolongs the session; false for one that was not to be remembered.';
comment on column auth.sessions.second_factor_at is
  'When the second factor that stands behind the session was given; null where its user had none.';
create index sessions_user_id_idx on auth.sessions (user_id);
create index sessions_active_organization_id_idx on auth.sessions (active_organization_id);
create index sessions_expires_at_idx on auth.sessions (expires_at);

alter table auth.sessions enable row level security;
create policy all_auth on auth.sessions for all to rowhouse_auth using (true) with check (true);
grant select, insert, update, delete on auth.sessions to rowhouse_auth;

create trigger sessions_touch_updated_at before update on auth.sessions
  for each row execute function app.touch_updated_at();
comment on trigger sessions_touch_updated_at on auth.sessions is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

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
comment on trigger sessions_set_slides on auth.sessions is
  E'Notes whether a session is one to be remembered.\n\n'
  'Only a session that its user asked to keep is prolonged by use.';
create trigger sessions_end_leases before delete on auth.sessions
  for each row execute function app.end_credential_leases();
comment on trigger sessions_end_leases on auth.sessions is
  E'Ends the leases that were claimed with a session.\n\n'
  'A worker may do no more than what it was started with.';

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
  -- The lock makes a sign-in and the moment that the factor is switched on take turns: whichever is second
  -- sees the other. It is taken whether the factor is on or not, since a condition would be read before it.
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
comment on trigger sessions_ask_second_factor on auth.sessions is
  E'Refuses a session without the second factor to a user who has switched it on.\n\n'
  'Whichever way a session is made, a password alone reaches nothing.';

create table auth.two_factors (
  id uuid not null default app.new_id(),
  user_id uuid not null,
  secret text not null,
  backup_codes text not null,
  verified boolean not null default true,
  failed_verification_count integer not null default 0,
  locked_until timestamptz,
  last_used_step bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint two_factors_pkey primary key (id),
  constraint two_factors_user_id_key unique (user_id),
  constraint two_factors_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.two_factors is 'Second factors: an encrypted TOTP secret and backup codes a user.';
comment on column auth.two_factors.last_used_step is
  'The newest 30-second step whose code was used: this one and all before it are spent.';

alter table auth.two_factors enable row level security;
create policy all_auth on auth.two_factors for all to rowhouse_auth using (true) with check (true);
grant select, insert, update, delete on auth.two_factors to rowhouse_auth;

create trigger two_factors_touch_updated_at before update on auth.two_factors
  for each row execute function app.touch_updated_at();
comment on trigger two_factors_touch_updated_at on auth.two_factors is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

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
  'Browsers that gave a second factor and are not asked for it again until they expire; the cookie''s value '
  'is stored hashed.';
create index trusted_devices_user_id_idx on auth.trusted_devices (user_id);
create index trusted_devices_expires_at_idx on auth.trusted_devices (expires_at);

alter table auth.trusted_devices enable row level security;
create policy all_auth on auth.trusted_devices for all to rowhouse_auth using (true) with check (true);
grant select, insert, update, delete on auth.trusted_devices to rowhouse_auth;

create trigger trusted_devices_touch_updated_at before update on auth.trusted_devices
  for each row execute function app.touch_updated_at();
comment on trigger trusted_devices_touch_updated_at on auth.trusted_devices is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

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
  'Removes sessions, trusted devices and verifications that expired more than a day ago, at most a thousand '
  'of each, and returns how many.';

grant execute on function app.sweep_sign_ins to rowhouse_system;

-- migrate:down

drop table auth.trusted_devices, auth.two_factors, auth.sessions;
drop function auth.set_session_slides, auth.ask_second_factor, app.sweep_sign_ins;
