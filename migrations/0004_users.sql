-- Users and their ways to sign in: tables that Better Auth keeps.
--
-- Better Auth reads and writes `auth` as rowhouse_auth. The API sees a few columns of the rows that its
-- caller may know.
--
-- Names, slugs, pictures and addresses are shown to others. The rules are those of server/inputs.ts, a little
-- wider where a regular expression of Postgres knows less; they hold here as well, so that no way to write a
-- row passes them by.
--
-- A pending reset link or sign-in challenge names its user, and ends with the user's next password or mail
-- address.

-- migrate:up

create table auth.users (
  id uuid not null default app.new_id(),
  name text not null,
  email text not null,
  email_verified boolean not null default false,
  image text,
  two_factor_enabled boolean not null default false,
  removed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_pkey primary key (id),
  constraint users_email_key unique (email),
  constraint users_name_check check (
    char_length(name) <= 100
    and btrim(name) <> ''
    and name !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]'
  ),
  constraint users_email_check check (
    char_length(email) <= 254 and email = lower(email) and email !~ '[\u0001-\u0020\u007f-\u00a0]'
  ),
  constraint users_image_check check (char_length(image) <= 2048 and image ~* '^https?://[^\u0001-\u0020\u007f]+$')
);
comment on table auth.users is 'People who can sign in.';
comment on column auth.users.removed_at is
  'When the user was removed. Nobody signs in as them or sees them from then on; their rows are deleted in '
  'batches, this one last.';
-- Nearly always empty, which makes asking whether a user is removed all but free.
create index users_removed_idx on auth.users (id) where removed_at is not null;

alter table auth.users enable row level security;
create policy all_auth on auth.users for all to rowhouse_auth
  using (removed_at is null) with check (removed_at is null);
create policy select_known on auth.users for select to rowhouse_api
  using (id = any ((select app.known_user_ids())::uuid[]));
grant select, insert, update, delete on auth.users to rowhouse_auth;
grant select (id, name, image) on auth.users to rowhouse_api;

create trigger users_touch_updated_at before update on auth.users
  for each row execute function app.touch_updated_at();
comment on trigger users_touch_updated_at on auth.users is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

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
  'With the factor switched on, its secret counts and sessions without it end; switched off, secret, codes '
  'and trusted devices go.';
create trigger users_follow_two_factor after update of two_factor_enabled on auth.users
  for each row when (old.two_factor_enabled is distinct from new.two_factor_enabled)
  execute function auth.follow_two_factor();
comment on trigger users_follow_two_factor on auth.users is
  E'Ends what was signed in without the second factor, or was trusted, when it is switched on or off.\n\n'
  'Switching the factor on must not leave a door open that was opened without it.';

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
create trigger users_end_pending_proofs after update of email on auth.users
  for each row when (old.email is distinct from new.email)
  execute function auth.end_pending_proofs();
comment on trigger users_end_pending_proofs on auth.users is
  E'Ends a user''s reset links and sign-in challenges when the mail address changes.\n\n'
  'Whoever reads the old mailbox has no say in the account any more.';

create function app.close_account_instead() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  jobs uuid[];
begin
  if old.removed_at is not null then
    return old;
  end if;
  jobs := app.close_account(old.id);
  perform app.erase_batch(job, 1000) from unnest(jobs[:10]) job;
  return null;
end
$$;
comment on function app.close_account_instead() is
  'Makes deleting a user the same for everybody: it removes them, and their row goes at once where they '
  'have little, else last.';
create trigger users_close_account before delete on auth.users
  for each row execute function app.close_account_instead();
comment on trigger users_close_account on auth.users is
  E'Removes a user whose row is deleted: hides them, ends their credentials, and leaves their rows to batches.\n\n'
  'A deletion takes effect at once, whoever deletes the user and however many rows the user has, and it always finishes.';

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
comment on table auth.accounts is
  'Ways to sign in: a password or an external account. OAuth tokens are encrypted.';
create index accounts_user_id_idx on auth.accounts (user_id);

alter table auth.accounts enable row level security;
create policy all_auth on auth.accounts for all to rowhouse_auth using (true) with check (true);
grant select, insert, update, delete on auth.accounts to rowhouse_auth;

create trigger accounts_touch_updated_at before update on auth.accounts
  for each row execute function app.touch_updated_at();
comment on trigger accounts_touch_updated_at on auth.accounts is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

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
comment on trigger accounts_forget_trusted_devices_on_insert on auth.accounts is
  E'Forgets a user''s trusted devices when a password is set for the first time.\n\n'
  'A new password is a new start: every device proves itself again.';
create trigger accounts_forget_trusted_devices after update of password on auth.accounts
  for each row when (old.password is distinct from new.password)
  execute function auth.forget_trusted_devices();
comment on trigger accounts_forget_trusted_devices on auth.accounts is
  E'Forgets a user''s trusted devices when the password changes.\n\n'
  'A new password is a new start: every device proves itself again.';
create trigger accounts_end_pending_proofs_on_insert after insert on auth.accounts
  for each row when (new.password is not null)
  execute function auth.end_pending_proofs();
comment on trigger accounts_end_pending_proofs_on_insert on auth.accounts is
  E'Ends a user''s reset links and sign-in challenges when a password is set for the first time.\n\n'
  'A link that was asked for before must not replace what the user chose after it.';
create trigger accounts_end_pending_proofs after update of password on auth.accounts
  for each row when (old.password is distinct from new.password)
  execute function auth.end_pending_proofs();
comment on trigger accounts_end_pending_proofs on auth.accounts is
  E'Ends a user''s reset links and sign-in challenges when the password changes.\n\n'
  'A user changes a password that others know, and older links would let those in again.';

create table auth.verifications (
  id uuid not null default app.new_id(),
  user_id uuid,
  identifier text not null,
  value text not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint verifications_pkey primary key (id),
  constraint verifications_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.verifications is
  'Pending password resets, mail verifications and sign-in states; identifiers are hashed.';
comment on column auth.verifications.user_id is
  'Whose reset link or sign-in challenge it is; it ends with their next password or mail address. Null for '
  'anything else.';
create index verifications_identifier_idx on auth.verifications (identifier);
create index verifications_expires_at_idx on auth.verifications (expires_at);
create index verifications_user_id_idx on auth.verifications (user_id);

alter table auth.verifications enable row level security;
create policy all_auth on auth.verifications for all to rowhouse_auth using (true) with check (true);
grant select, insert, update, delete on auth.verifications to rowhouse_auth;

create trigger verifications_touch_updated_at before update on auth.verifications
  for each row execute function app.touch_updated_at();
comment on trigger verifications_touch_updated_at on auth.verifications is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

-- migrate:down

drop table auth.verifications, auth.accounts, auth.users;
drop function
  auth.follow_two_factor, auth.end_pending_proofs, app.close_account_instead, auth.forget_trusted_devices;
