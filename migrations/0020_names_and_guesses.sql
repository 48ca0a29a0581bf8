-- What Better Auth's tables may hold, whoever writes it, and what ends or waits with a password.
--
-- Names, slugs, pictures and addresses are shown to others. The rules are those of server/inputs.ts, a little wider where a
-- regular expression of Postgres knows less; they hold here as well, so that no way to write a row passes them by.
--
-- A pending reset link or sign-in challenge names its user, and ends with the user's next password or mail address.
--
-- Guessing the password of an account is slowed down instead of locking its owner out: app.take_turn makes everybody wait, each
-- for themselves.

-- migrate:up

-- Rows from before the rules. What cannot be shown is left out; a slug that is none is replaced by one that nobody has.
update auth.users u
set
  name = coalesce(
    nullif(btrim(left(regexp_replace(u.name, '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+', ' ', 'g'), 100)), ''),
    'User'
  )
where char_length(u.name) > 100
  or btrim(u.name) = ''
  or u.name ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]';
update auth.users u set image = null
where char_length(u.image) > 2048 or u.image !~* '^https?://[^\u0001-\u0020\u007f]+$';
update auth.organizations o
set
  name = coalesce(
    nullif(btrim(left(regexp_replace(o.name, '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+', ' ', 'g'), 100)), ''),
    'Organization'
  )
where char_length(o.name) > 100
  or btrim(o.name) = ''
  or o.name ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]';
update auth.organizations o set slug = 'organization-' || replace(o.id::text, '-', '')
where char_length(o.slug) > 63 or o.slug !~ '^[a-z0-9]+(-[a-z0-9]+)*$';
update auth.organizations o set logo = null
where char_length(o.logo) > 2048 or o.logo !~* '^https?://[^\u0001-\u0020\u007f]+$';
update auth.organizations o set metadata = null where octet_length(o.metadata) > 16384;
update auth.sessions s set user_agent = left(s.user_agent, 500) where char_length(s.user_agent) > 500;

alter table auth.users
  add constraint users_name_check check (
    char_length(name) <= 100
    and btrim(name) <> ''
    and name !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]'
  ),
  add constraint users_image_check check (
    char_length(image) <= 2048 and image ~* '^https?://[^\u0001-\u0020\u007f]+$'
  ),
  -- An address cannot be mended here: those from before stay as they are.
  add constraint users_email_check check (
    char_length(email) <= 254 and email = lower(email) and email !~ '[\u0001-\u0020\u007f-\u00a0]'
  ) not valid;
alter table auth.organizations
  add constraint organizations_name_check check (
    char_length(name) <= 100
    and btrim(name) <> ''
    and name !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]'
  ),
  add constraint organizations_slug_check check (char_length(slug) <= 63 and slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  add constraint organizations_logo_check check (
    char_length(logo) <= 2048 and logo ~* '^https?://[^\u0001-\u0020\u007f]+$'
  ),
  add constraint organizations_metadata_check check (octet_length(metadata) <= 16384);
alter table auth.invitations
  add constraint invitations_email_check check (
    char_length(email) <= 254 and email = lower(email) and email !~ '[\u0001-\u0020\u007f-\u00a0]'
  ) not valid;
alter table auth.sessions
  add constraint sessions_user_agent_check check (char_length(user_agent) <= 500);

-- What is pending names nobody, and is encrypted: it ends here, at most an hour early.
delete from auth.verifications;
alter table auth.verifications
  add column user_id uuid,
  add constraint verifications_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade;
comment on column auth.verifications.user_id is
  'Whose reset link or sign-in challenge it is; it ends with their next password or mail address. Null for anything else.';
create index verifications_user_id_idx on auth.verifications (user_id);

create function auth.end_pending_proofs() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.verifications v
  where v.user_id = case tg_table_name when 'users' then (to_jsonb(new) ->> 'id') else to_jsonb(new) ->> 'user_id' end::uuid;
  return null;
end
$$;
comment on function auth.end_pending_proofs() is
  'A new password or mail address ends every reset link and sign-in challenge of before.';
create trigger accounts_end_pending_proofs_on_insert after insert on auth.accounts
  for each row when (new.password is not null)
  execute function auth.end_pending_proofs();
create trigger accounts_end_pending_proofs after update of password on auth.accounts
  for each row when (old.password is distinct from new.password)
  execute function auth.end_pending_proofs();
create trigger users_end_pending_proofs after update of email on auth.users
  for each row when (old.email is distinct from new.email)
  execute function auth.end_pending_proofs();

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
    select 'verifications', to_jsonb(v) - array['identifier', 'value'] from auth.verifications v where v.user_id = caller
    union all
    select 'members', to_jsonb(m) from auth.members m where m.user_id = caller
    union all
    select 'invitations', to_jsonb(i) from auth.invitations i where i.inviter_id = caller;
end
$$;

create function app.take_turn(
  p_key text,
  p_first_seconds integer,
  p_longest_seconds integer,
  out retry_after_seconds integer
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  turns integer;
  set_at timestamptz;
  begins timestamptz;
begin
  insert into app.rate_limits as r (key, expires_at)
  values (p_key, now() + make_interval(secs => p_first_seconds))
  on conflict (key) do update set
    count = case when r.expires_at > now() then r.count else r.count + 1 end,
    window_started_at = case when r.expires_at > now() then r.window_started_at else now() end,
    expires_at = case
      when r.expires_at > now() then r.expires_at
      else now() + make_interval(secs => least(p_longest_seconds, p_first_seconds * 2.0 ^ least(r.count, 20)))
    end
  returning r.count, r.window_started_at, r.expires_at into turns, set_at, begins;
  -- Moved by this call, and not made by it: the wait was over.
  retry_after_seconds := case
    when turns > 1 and set_at = now() then 0
    else greatest(1, ceil(extract(epoch from begins - now()))::integer)
  end;
end
$$;
comment on function app.take_turn(text, integer, integer) is
  'Lets a key through once its wait is over, which nobody else can make longer, and doubles the wait for the next turn. Returns 0,
or the seconds that are left.';
grant execute on function app.take_turn(text, integer, integer) to rowhouse_system;

-- migrate:down

drop function app.take_turn(text, integer, integer);
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
drop trigger users_end_pending_proofs on auth.users;
drop trigger accounts_end_pending_proofs on auth.accounts;
drop trigger accounts_end_pending_proofs_on_insert on auth.accounts;
drop function auth.end_pending_proofs();
alter table auth.verifications drop column user_id;
alter table auth.sessions drop constraint sessions_user_agent_check;
alter table auth.invitations drop constraint invitations_email_check;
alter table auth.organizations
  drop constraint organizations_metadata_check,
  drop constraint organizations_logo_check,
  drop constraint organizations_slug_check,
  drop constraint organizations_name_check;
alter table auth.users
  drop constraint users_email_check,
  drop constraint users_image_check,
  drop constraint users_name_check;
