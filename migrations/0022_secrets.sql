-- Secrets at rest, and how a server knows that its keys are the ones they were sealed with.
--
-- A column of the domain app.envelope holds a secret of its row's owner, sealed outside the database and
-- bound to its table, column, owner and row; such a table has the primary key (user_id, id) or
-- (organization_id, id). Re-encryption finds these columns in the catalog, so that no list of them can be out
-- of date.
--
-- Each key that has sealed anything leaves a check value here. A server opens all of them before it serves,
-- so that one whose keys are not complete, or not the right ones, writes nothing that the others could not
-- read.
--
-- Moving a secret to another key changes nothing that anybody sees, so updated_at stays as it is while the
-- owner says so.

-- migrate:up

create domain app.envelope as text
  constraint envelope_check
    check (value ~ '^rh1\.[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{38,}$' and octet_length(value) <= 2097152);
comment on domain app.envelope is
  'A secret sealed by server/crypto: version, key id, then iv, ciphertext and tag of AES-256-GCM. Opens '
  'only in its own place.';

create table app.keyring_checks (
  key_id text not null,
  value app.envelope not null,
  created_at timestamptz not null default now(),
  constraint keyring_checks_pkey primary key (key_id),
  constraint keyring_checks_key_id_check check (key_id = split_part(value, '.', 2))
);
comment on table app.keyring_checks is
  'A known text sealed with each key in use. No login reads or writes it but through app.keep_keyring_check.';

alter table app.keyring_checks enable row level security;

create function app.keep_keyring_check(p_value text, p_key_ids text[]) returns setof app.keyring_checks
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  current_key text := split_part(p_value, '.', 2);
begin
  if not exists (select from app.keyring_checks c where c.key_id = current_key) then
    -- Servers that start at once take turns, and the second one sees what the first one kept.
    lock table app.keyring_checks in share row exclusive mode;
    insert into app.keyring_checks (key_id, value)
    select current_key, p_value
    where not exists (select from app.keyring_checks c where c.key_id <> all (p_key_ids))
    on conflict do nothing;
  end if;
  return query select * from app.keyring_checks order by key_id;
end
$$;
comment on function app.keep_keyring_check(text, text[]) is
  'Keeps the check value of a key that has none, unless its holder lacks another key in use; returns all '
  'check values.';

grant execute on function app.keep_keyring_check to rowhouse_system;

-- migrate:down

drop function app.keep_keyring_check;
drop table app.keyring_checks;
drop domain app.envelope;
