-- Sign-in: what a credential opens, and what is set in front of every statement.
--
-- A caller presents a secret. What travels here is a kind and the SHA-256 of the secret ('s:<hex>' for a
-- session, 't:<hex>' for an API token); what is stored is the SHA-256 of that. app.sign_in checks it and
-- keeps it in the transaction-local setting app.credential. Policies look the credential up again, so that a
-- setting made by hand names nobody whose secret its maker does not hold.
--
-- A worker presents the credential of a lease ('l:<hex>'), which opens one task, as its owner, and nothing
-- else. app.sign_in refuses it once the lease has ended, lapsed or lost the credential it was claimed with,
-- so whatever a stale worker still sends is refused at the same door as everything else. Under a lease
-- app.current_user_id() is null: what has no policy for leases is closed to them.
--
-- A caller that froze in the middle of a transaction keeps its rows locked for seconds, not for hours. The
-- logins have the same bounds as settings of theirs in this database (server/db/session-settings.ts), which
-- reach Better Auth's statements as well. Here they hold for the API's statements wherever its login lacks
-- those: in a copy of a database, or where the owner may not alter roles.

-- migrate:up

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
comment on type app.caller is
  'The caller of a statement: user, credential, organization and role. Scopes are null for a session, '
  'which may do everything.';

-- A function in SQL without settings of its own is inlined where it is called: the planner sees what it says,
-- and no call is made.
create function app.credential_digest(p_credential text) returns bytea
language sql immutable parallel safe
return sha256(decode(substr(p_credential, 3), 'hex'));
comment on function app.credential_digest(text) is
  'What is stored of a credential: the SHA-256 of what follows its kind. A session''s is stored in hex.';

create function app.live_lease(p_credential text, out user_id uuid, out task_id uuid, out lease_id uuid)
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  select l.user_id, l.task_id, l.id
  into user_id, task_id, lease_id
  from app.task_leases l
  where left(p_credential, 2) = 'l:'
    and l.credential_hash = app.credential_digest(p_credential)
    and l.ended_at is null
    and l.expires_at > now()
    and not exists (select from auth.users u where u.id = l.user_id and u.removed_at is not null)
    and (
      l.api_token_id is null
      or exists (
        select from app.api_tokens t
        where t.user_id = l.user_id
          and t.id = l.api_token_id
          and app.is_live(t)
      )
    )
    and (
      l.session_id is null
      or exists (select from auth.sessions s where s.id = l.session_id and s.expires_at > now())
    );
end
$$;
comment on function app.live_lease(text) is
  'The lease that a credential opens: not ended, not lapsed, and claimed with what is still valid.';

create function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller app.caller;
  wanted uuid;
  asked text;
  lacks_factor boolean;
begin
  if starts_with(p_credential, 's:') then
    select
      s.user_id, 'session', s.id, s.last_used_at < now() - interval '1 minute',
      s.slides and s.expires_at < now() + interval '6 days', coalesce(p_organization, s.active_organization_id)
    into caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due, caller.is_slide_due, wanted
    from auth.sessions s
    where s.token = encode(app.credential_digest(p_credential), 'hex') and s.expires_at > now()
      and not exists (select from auth.users u where u.id = s.user_id and u.removed_at is not null);
  elsif starts_with(p_credential, 't:') then
    select
      t.user_id, 'token', t.id, t.last_used_at is null or t.last_used_at < now() - interval '1 minute',
      false, coalesce(p_organization, t.organization_id), t.scopes, t.organization_id
    into
      caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due,
      caller.is_slide_due, wanted, caller.scopes, caller.organization_id
    from app.api_tokens t
    where t.token_hash = app.credential_digest(p_credential)
      and app.is_live(t)
      and not exists (select from auth.users u where u.id = t.user_id and u.removed_at is not null);
  elsif starts_with(p_credential, 'l:') then
    select l.user_id, 'lease', l.lease_id, false, false, '{}'
    into caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due, caller.is_slide_due, caller.scopes
    from app.live_lease(p_credential) l;
    if caller.user_id is null then
      raise exception 'lease_lost' using errcode = 'invalid_authorization_specification';
    end if;
    -- 'tasks:read+lease' asks for tasks:read, or for a lease; 'lease' for a lease and nothing else.
    if p_scope <> 'lease' and p_scope not like '%+lease' then
      raise exception 'missing_scope' using errcode = 'insufficient_privilege';
    end if;
    return caller;
  end if;
  if caller.user_id is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;

  if p_scope = 'lease' then
    raise exception 'missing_scope' using errcode = 'insufficient_privilege';
  end if;
  if caller.scopes is not null then
    -- What follows a plus sign is for other kinds of credential. 'session' is no scope: a token that lists it
    -- anyway is none the stronger.
    asked := split_part(p_scope, '+', 1);
    if asked <> 'any' and (asked = 'session' or not (
      asked = any (caller.scopes) or (asked like '%:read' and replace(asked, ':read', ':write') = any (caller.scopes))
    )) then
      raise exception 'missing_scope' using errcode = 'insufficient_privilege';
    end if;
  end if;

  if wanted is not null then
    if caller.organization_id is null or caller.organization_id = wanted then
      select
        m.organization_id, m.role,
        o.require_two_factor and not (select u.two_factor_enabled from auth.users u where u.id = m.user_id)
      into caller.organization_id, caller.organization_role, lacks_factor
      from auth.members m
      join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
      where m.organization_id = wanted and m.user_id = caller.user_id;
    else
      caller.organization_id := null;
    end if;
    if caller.organization_id is null and (p_organization is not null or caller.kind = 'token') then
      raise exception 'not_a_member' using errcode = 'insufficient_privilege';
    end if;
    if lacks_factor then
      -- What a session needs to choose another organization, or none, stays open to one that is active in
      -- this one.
      if p_organization is not null or caller.kind = 'token' or split_part(p_scope, '+', 1) not in ('any', 'session') then
        raise exception 'two_factor_required' using errcode = 'insufficient_privilege';
      end if;
      caller.organization_id := null;
      caller.organization_role := null;
    end if;
  end if;
  return caller;
end
$$;
comment on function app.authenticate(text, uuid, text) is
  'Turns a credential into a caller, or raises: 28000 unauthenticated or lease_lost; 42501 missing_scope, '
  'not_a_member or two_factor_required.';

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
  -- Runs as the caller and pins no search_path, because what it sets must outlast it; hence the qualified
  -- names. It rides in front of every statement, and each of its expressions is set up anew in every
  -- transaction; hence so few of them.
  ignored := pg_catalog.concat(
    pg_catalog.set_config('app.credential', p_credential, true),
    pg_catalog.set_config('app.organization', coalesce(caller.organization_id::pg_catalog.text, ''), true),
    pg_catalog.set_config('statement_timeout', p_timeout_ms::pg_catalog.text, true),
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
    -- Every statement leads with its owner's key, so knowing the values makes no better plan; and a page of
    -- an owner with many rows would be planned again on each call.
    pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
    case when p_is_read_only then pg_catalog.set_config('transaction_read_only', 'on', true) end
  );
  -- What a statement before this one may have left on a shared connection, what would change how ours is
  -- read, and how long a transaction that is waited for may do nothing.
  if pg_catalog.concat_ws(
    '/',
    pg_catalog.current_setting('row_security'),
    pg_catalog.current_setting('bytea_output'),
    pg_catalog.current_setting('transform_null_equals'),
    pg_catalog.current_setting('lock_timeout'),
    pg_catalog.current_setting('idle_in_transaction_session_timeout'),
    pg_catalog.current_setting('extra_float_digits'),
    pg_catalog.current_setting('DateStyle'),
    pg_catalog.current_setting('IntervalStyle'),
    pg_catalog.current_setting('TimeZone')
  ) operator(pg_catalog.<>) 'on/hex/off/6s/5s/1/ISO, MDY/postgres/UTC' then
    perform
      pg_catalog.set_config('row_security', 'on', true),
      pg_catalog.set_config('bytea_output', 'hex', true),
      pg_catalog.set_config('transform_null_equals', 'off', true),
      pg_catalog.set_config('lock_timeout', '6s', true),
      pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true),
      pg_catalog.set_config('extra_float_digits', '1', true),
      pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
      pg_catalog.set_config('IntervalStyle', 'postgres', true),
      pg_catalog.set_config('TimeZone', 'UTC', true);
  end if;
  return caller;
end
$$;
comment on function app.sign_in(text, uuid, text, boolean, integer) is
  'Rides in front of every statement: authenticates its caller and sets, for this transaction only, all '
  'that policies read.';

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
      where s.token = encode(app.credential_digest(credential), 'hex')
        and s.expires_at > now()
        and (s.last_used_at < now() - interval '1 minute' or s.slides and s.expires_at < now() + interval '6 days');
    when 't:' then
      update app.api_tokens t
      set last_used_at = now()
      where t.token_hash = app.credential_digest(credential)
        and (t.last_used_at is null or t.last_used_at < now() - interval '1 minute');
    else
      null;
  end case;
end
$$;
comment on function app.touch_credential() is
  'Notes that the caller''s credential was used, at most once a minute, and prolongs a session that slides.';

grant execute on function app.authenticate, app.sign_in, app.touch_credential to rowhouse_api;

-- migrate:down

drop function app.credential_digest, app.live_lease, app.authenticate, app.sign_in, app.touch_credential;
drop type app.caller;
