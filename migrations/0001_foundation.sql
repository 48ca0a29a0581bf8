-- Roles, the two schemas, identifiers, and the triggers that tables share.
--
-- Four logins serve; none owns anything, may bypass row-level security or belongs to another role. Roles are
-- shared by all databases of a cluster, so they are created when missing and never dropped here; their
-- passwords are set after migrating, from AUTH_SECRET, and appear in no file.
--
-- Each table stands whole in one file, behind the tables that it refers to. The body of a PL/pgSQL function
-- may name tables of later files: it is looked up when it runs.

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
comment on schema app is
  'Everything that users and organizations own, and the functions that tell who is asking.';

grant usage on schema auth to rowhouse_auth, rowhouse_api;
grant usage on schema app to rowhouse_api, rowhouse_public, rowhouse_system;

create domain app.connection_provider as text
  constraint connection_provider_check check (value in ('notion', 'github', 'slack', 'linear'));
comment on domain app.connection_provider is 'Where a user may connect an account.';

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
  -- RFC 9562, section 5.7, with method 3 of section 6.2: the 12 bits behind the version count fractions of a
  -- millisecond.
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
comment on function app.new_id() is
  'A UUIDv7: the server''s own where it has one (PostgreSQL 18), else an equivalent.';

create function app.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('app.keeps_updated_at', true) = 'on'
    and (select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = tg_relid) then
    return new;
  end if;
  new.updated_at := now();
  return new;
end
$$;
comment on function app.touch_updated_at() is
  'Keeps updated_at; one trigger a table. The owner leaves it as it is where app.keeps_updated_at is on.';

create function app.refuse(p_reason text, p_sentence text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'RH001', message = p_reason, detail = p_sentence;
end
$$;
comment on function app.refuse(text, text) is 'Raises an expected failure.';

create function app.require_membership() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Locked as a foreign key would: a membership that ends at this moment waits, and then sees this row.
  perform from auth.members m
  where m.organization_id = new.organization_id and m.user_id = new.user_id
  for key share;
  if not found then
    raise exception 'a row of % names an organization that its owner does not belong to', tg_table_name using
      errcode = 'foreign_key_violation', constraint = tg_table_name || '_organization_id_user_id_fkey',
      table = tg_table_name, schema = tg_table_schema;
  end if;
  return null;
end
$$;
comment on function app.require_membership() is
  'Refuses a row that names an organization to which its owner does not belong, as a foreign key would.';

create function app.follow_in_batches() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  job uuid;
  is_finished boolean;
begin
  -- What a removed user had goes with their own erasure.
  if exists (select from auth.users u where u.id = old.user_id and u.removed_at is null) then
    job := app.begin_erasure(
      format('%I.%I', tg_table_schema, tg_table_name),
      (select jsonb_object_agg(name, to_jsonb(old) -> name) from unnest(tg_argv) name)
    );
    select b.is_finished into is_finished from app.erase_batch(job, 1000) b;
    if is_finished then
      -- Begun and done in one transaction: there is nothing to tell.
      delete from app.erasures e where e.id = job;
    end if;
  end if;
  return null;
end
$$;
comment on function app.follow_in_batches() is
  'Deletes or changes what depends on a removed row: a thousand rows at once, the rest in later batches. '
  'Arguments: the columns of its key.';

create function app.follow_deletion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.follow(
    format('%I.%I', tg_table_schema, tg_table_name),
    case
      when tg_nargs > 2 then jsonb_build_object('user_id', to_jsonb(new) -> 'user_id', 'id', new.id)
      else jsonb_build_object('id', new.id)
    end,
    coalesce(old.deletion_id, new.deletion_id)
  );
  return null;
end
$$;
comment on function app.follow_deletion() is
  'Marks the rows that hang on a removed one with its deletion_id, and brings back those that have it when '
  'it is restored. Arguments: the child''s table, its column with the parent''s id, and user_id where both '
  'tables belong to a user.';

create function app.end_credential_leases() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  tasks uuid[];
begin
  -- Those of a removed user have ended.
  if exists (select from auth.users u where u.id = old.user_id and u.removed_at is not null) then
    return old;
  end if;
  -- The task first, as everyone does who needs both. Of a worker with more tasks than these, the other leases
  -- open nothing any more, and lapse.
  tasks := array(
    select t.id from app.tasks t
    where t.user_id = old.user_id and t.id in (
      select l.task_id from app.task_leases l
      where l.user_id = old.user_id and (l.session_id = old.id or l.api_token_id = old.id) and l.ended_at is null
      order by l.task_id
      limit 1000
    )
    order by t.id
    for update
  );
  update app.task_leases l set ended_at = now()
  where l.user_id = old.user_id and l.task_id = any (tasks)
    and (l.session_id = old.id or l.api_token_id = old.id) and l.ended_at is null;
  return old;
end
$$;
comment on function app.end_credential_leases() is
  'Ends the leases that were claimed with a session or a token that is deleted, before they go with it: '
  'what follows a lease''s end follows.';

grant execute on function app.new_id to rowhouse_api, rowhouse_auth, rowhouse_system;

-- migrate:down

drop schema auth cascade;
drop schema app cascade;
alter default privileges grant execute on functions to public;
