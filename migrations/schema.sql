-- What the migrations add up to, read from the catalog of a database that they built: for review, not for editing.
-- Written by `npm run db:generate`. psql can load it into an empty database once the four logins exist.

set check_function_bodies = off;

create schema app;
comment on schema app is 'Everything that users and organizations own, and the functions that tell who is asking.';
grant usage on schema app to rowhouse_api;
grant usage on schema app to rowhouse_public;
grant usage on schema app to rowhouse_system;

create schema auth;
comment on schema auth is 'Users, sessions and organizations: Better Auth''s tables.';
grant usage on schema auth to rowhouse_api;
grant usage on schema auth to rowhouse_auth;

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
comment on type app.caller is 'The caller of a statement: user, credential, organization and role. Scopes are null for a session, which may do everything.';

create domain app.connection_provider as text
  constraint connection_provider_check CHECK ((VALUE = ANY (ARRAY['notion'::text, 'github'::text, 'slack'::text, 'linear'::text])));
comment on domain app.connection_provider is 'Where a user may connect an account.';

create domain app.envelope as text
  constraint envelope_check CHECK (((VALUE ~ '^rh1\.[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{38,}$'::text) AND (octet_length(VALUE) <= 2097152)));
comment on domain app.envelope is 'A secret sealed by server/crypto: version, key id, then iv, ciphertext and tag of AES-256-GCM. Opens only in its own place.';

create type app.invitation as (
  id uuid,
  organization_id uuid,
  organization_name text,
  email text,
  role text,
  status text,
  inviter_name text,
  expires_at timestamp with time zone,
  created_at timestamp with time zone
);
comment on type app.invitation is 'An invitation as the organization''s admins and its recipient see it.';

create type app.own_organization as (
  id uuid,
  name text,
  slug text,
  logo text,
  role text,
  require_two_factor boolean,
  allow_self_approval boolean,
  created_at timestamp with time zone
);
comment on type app.own_organization is 'An organization as one of its members sees it, with their role.';

CREATE OR REPLACE FUNCTION app.accept_invitation(p_id uuid)
 RETURNS SETOF app.own_organization
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  invited record;
begin
  select * into invited from app.lock_received_invitation(p_id);
  if invited.organization_id is null then
    return;
  end if;
  insert into auth.members (organization_id, user_id, role)
  values (invited.organization_id, app.current_session_user_id(), invited.role);
  update auth.invitations i set status = 'accepted' where i.id = p_id;
  perform app.activate_organization(invited.organization_id);
  return query select * from app.own_organizations(invited.organization_id);
end
$function$;
comment on function app.accept_invitation(uuid) is 'Makes the caller a member of the organization that invited their verified address, and their session act in it.';
revoke all on function app.accept_invitation(uuid) from public;
grant execute on function app.accept_invitation(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.activate_organization(p_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update auth.sessions s set active_organization_id = p_id
  where s.token = encode(app.credential_digest(current_setting('app.credential', true)), 'hex')
    and s.user_id = app.current_session_user_id();
end
$function$;
comment on function app.activate_organization(uuid) is 'Makes an organization the one in which the caller''s session acts.';
revoke all on function app.activate_organization(uuid) from public;

CREATE OR REPLACE FUNCTION app.authenticate(p_credential text, p_organization uuid, p_scope text)
 RETURNS app.caller
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.authenticate(text, uuid, text) is 'Turns a credential into a caller, or raises: 28000 unauthenticated or lease_lost; 42501 missing_scope, not_a_member or two_factor_required.';
revoke all on function app.authenticate(text, uuid, text) from public;
grant execute on function app.authenticate(text, uuid, text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.begin_erasure(p_parent text, p_key jsonb, p_deletion_id uuid DEFAULT NULL::uuid)
 RETURNS uuid
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  -- By the clock: what is made under a membership that comes back while this goes on is made later, and
  -- stays.
  insert into app.erasures (parent, key, deletion_id, created_at)
  values (p_parent, p_key, p_deletion_id, clock_timestamp())
  returning id
$function$;
comment on function app.begin_erasure(text, jsonb, uuid) is 'Notes that dependent rows of a removed row are to be deleted or, with a deletion_id, to be marked with it.';
revoke all on function app.begin_erasure(text, jsonb, uuid) from public;

CREATE OR REPLACE FUNCTION app.cancel_invitation(p_id uuid)
 RETURNS SETOF app.invitation
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  role text := app.lock_organization((select i.organization_id from auth.invitations i where i.id = p_id));
  invited record;
begin
  if role is null then
    return;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may cancel invitations');
  end if;
  select i.status, i.role into invited from auth.invitations i where i.id = p_id for update;
  if role <> 'owner' and invited.role = 'owner' then
    perform app.refuse('role_too_low', 'only owners may cancel an owner''s invitation');
  end if;
  perform app.require_pending(invited.status, null);
  update auth.invitations i set status = 'canceled' where i.id = p_id;
  return query select * from app.describe_invitations(array[p_id]);
end
$function$;
comment on function app.cancel_invitation(uuid) is 'Takes an invitation back.';
revoke all on function app.cancel_invitation(uuid) from public;
grant execute on function app.cancel_invitation(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.check_content_parents()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  found_type text;
begin
  -- Both may be on their way out in a transaction that does not see this row yet: the locks make one wait for
  -- the other.
  if new.organization_id is not null and tg_op = 'INSERT' then
    perform from auth.organizations o where o.id = new.organization_id and o.deleted_at is null for share;
    if not found then
      raise exception 'content is not made for an organization that is removed' using
        errcode = 'foreign_key_violation', constraint = 'content_organization_id_user_id_fkey', table = 'content', schema = 'app';
    end if;
  end if;
  if new.media_item_id is not null and new.deleted_at is null then
    select m.media_type into found_type from app.media_items m
    where m.user_id = new.user_id and m.id = new.media_item_id and m.deleted_at is null
    for share;
    if not found then
      raise exception 'content does not stand on a media item that is removed' using
        errcode = 'foreign_key_violation', constraint = 'content_user_id_media_item_id_fkey', table = 'content', schema = 'app';
    end if;
    if new.content_type <> 'written' and new.content_type <> found_type then
      raise exception 'a media item of the type % makes no content of the type %', found_type, new.content_type using
        errcode = 'check_violation', constraint = 'content_media_type_check', table = 'content', schema = 'app';
    end if;
  end if;
  return null;
end
$function$;
comment on function app.check_content_parents() is 'Keeps content off what is removed, and videos and recordings to files of their kind.';
revoke all on function app.check_content_parents() from public;

CREATE OR REPLACE FUNCTION app.check_streams(p_credentials text[], p_organizations uuid[], p_task_ids uuid[], OUT n integer, OUT refusal text, OUT status text, OUT last_log_seq integer, OUT last_event_seq integer)
 RETURNS SETOF record
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  asked record;
  credential text;
  organization uuid;
  scope text;
  caller uuid;
begin
  for asked in
    select
      a.credential, a.organization, a.task_id, a.n,
      case when a.task_id is null then 'approvals:read' else 'tasks:read' end as scope
    from unnest(p_credentials, p_organizations, p_task_ids) with ordinality as a (credential, organization, task_id, n)
    order by a.credential, a.organization, scope
  loop
    -- Once for all streams of one caller that ask the same of them.
    if (credential, organization, scope) is distinct from (asked.credential, asked.organization, asked.scope) then
      credential := asked.credential;
      organization := asked.organization;
      scope := asked.scope;
      caller := null;
      refusal := null;
      begin
        select a.user_id into caller from app.authenticate(credential, organization, scope) a;
      exception
        when invalid_authorization_specification or insufficient_privilege then
          refusal := sqlerrm;
      end;
    end if;
    n := asked.n;
    status := null;
    last_log_seq := null;
    last_event_seq := null;
    if asked.task_id is not null then
      select t.status, t.last_log_seq, t.last_event_seq
      into status, last_log_seq, last_event_seq
      from app.tasks t
      where t.user_id = caller and t.id = asked.task_id and t.deleted_at is null;
    elsif caller is not null then
      status := 'open';
      last_log_seq := 0;
      last_event_seq := coalesce(
        case
          when organization is null then (select s.last_seq from app.approval_sequences s where s.user_id = caller)
          else (select s.last_seq from app.organization_approval_sequences s where s.organization_id = organization)
        end,
        0
      );
    end if;
    return next;
  end loop;
end
$function$;
comment on function app.check_streams(text[], uuid[], uuid[]) is 'For each credential, organization and task of a stream: why its caller is refused, or the task''s state and last numbers; without a status, the task is not there. Without a task, of the organization''s approvals, or of the caller''s own.';
revoke all on function app.check_streams(text[], uuid[], uuid[]) from public;
grant execute on function app.check_streams(text[], uuid[], uuid[]) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.claim_any_task(p_after_user uuid, p_worker text, p_lease_seconds integer, p_credential_hash bytea, OUT user_id uuid, OUT task_id uuid, OUT expires_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  everybody constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  after_user uuid := coalesce(p_after_user, nobody);
  after_task uuid := everybody;
begin
  -- Round robin by user: the first after the one served last who has a task to claim, then from the
  -- beginning.
  for round in 1..2 loop
    loop
      select t.user_id, t.id into user_id, task_id
      from app.tasks t
      where (t.user_id, t.id) > (after_user, after_task)
        and t.deleted_at is null
        and t.status in ('pending', 'processing')
        and app.task_deadline(t.started_at, t.options) > now()
        and not app.is_leased(t.user_id, t.id)
      order by t.user_id, t.id
      limit 1
      for update skip locked;
      exit when task_id is null;
      if exists (select from auth.users u where u.id = user_id and u.removed_at is not null) then
        after_user := user_id;
        after_task := everybody;
        task_id := null;
        continue;
      end if;
      -- Looked up anew under the lock: the row may have been claimed since the statement above took its
      -- snapshot.
      if not app.is_leased(user_id, task_id) then
        expires_at := app.lease_task(user_id, task_id, p_worker, p_lease_seconds, p_credential_hash, null, null);
        return;
      end if;
      after_user := user_id;
      after_task := task_id;
    end loop;
    after_user := nobody;
    after_task := nobody;
  end loop;
end
$function$;
comment on function app.claim_any_task(uuid, text, integer, bytea) is 'The same for the operator''s workers, over all users in turn: p_after_user is the one who was served last.';
revoke all on function app.claim_any_task(uuid, text, integer, bytea) from public;
grant execute on function app.claim_any_task(uuid, text, integer, bytea) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.claim_file_removals(p_limit integer, p_claim_seconds integer)
 RETURNS TABLE(storage_key text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  return query
    with due as (
      select r.storage_key from app.file_removals r
      where r.due_at <= now()
      order by r.due_at
      limit p_limit
      for update skip locked
    )
    update app.file_removals r
    set due_at = now() + make_interval(secs => p_claim_seconds)
    from due
    where r.storage_key = due.storage_key
    returning r.storage_key;
end
$function$;
comment on function app.claim_file_removals(integer, integer) is 'Claims files whose removal is due; nobody else gets them meanwhile.';
revoke all on function app.claim_file_removals(integer, integer) from public;
grant execute on function app.claim_file_removals(integer, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.claim_task(p_worker text, p_lease_seconds integer, p_credential_hash bytea, OUT task_id uuid, OUT expires_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  caller uuid := app.current_user_id();
  credential text := current_setting('app.credential', true);
  hash bytea;
  token_id uuid;
  session_id uuid;
  after uuid := '00000000-0000-0000-0000-000000000000';
begin
  if caller is null then
    return;
  end if;
  hash := app.credential_digest(credential);
  if left(credential, 2) = 't:' then
    select t.id into token_id from app.api_tokens t where t.token_hash = hash;
  else
    select s.id into session_id from auth.sessions s where s.token = encode(hash, 'hex');
  end if;
  loop
    select t.id into task_id
    from app.tasks t
    where t.user_id = caller
      and t.id > after
      and t.deleted_at is null
      and t.status in ('pending', 'processing')
      and app.task_deadline(t.started_at, t.options) > now()
      and not app.is_leased(t.user_id, t.id)
    order by t.id
    limit 1
    for update skip locked;
    exit when task_id is null;
    -- Looked up anew under the lock: the row may have been claimed since the statement above took its
    -- snapshot.
    if not app.is_leased(caller, task_id) then
      expires_at := app.lease_task(caller, task_id, p_worker, p_lease_seconds, p_credential_hash, token_id, session_id);
      return;
    end if;
    after := task_id;
  end loop;
end
$function$;
comment on function app.claim_task(text, integer, bytea) is 'Gives the caller''s oldest waiting task, or one whose lease has lapsed, to a worker. Nulls where there is none.';
revoke all on function app.claim_task(text, integer, bytea) from public;
grant execute on function app.claim_task(text, integer, bytea) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.claim_webhook_events(p_limit integer, p_claim_seconds integer, p_max_attempts integer)
 RETURNS TABLE(user_id uuid, id uuid, attempt integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  return query
    with due as (
      select e.user_id, e.id, e.status = 'processing' and e.attempts >= p_max_attempts as is_dead
      from app.webhook_events e
      where e.status in ('received', 'processing', 'failed') and e.next_attempt_at <= now()
      order by e.next_attempt_at
      limit p_limit
      for update skip locked
    ),
    claimed as (
      update app.webhook_events e
      set
        status = case when due.is_dead then 'dead' else 'processing' end,
        attempts = case when due.is_dead then e.attempts else e.attempts + 1 end,
        next_attempt_at = case when not due.is_dead then now() + make_interval(secs => p_claim_seconds) end,
        last_error = case when due.is_dead then 'whoever processed it did not come to an end' else e.last_error end
      from due
      where e.user_id = due.user_id and e.id = due.id
      returning e.user_id, e.id, e.attempts, due.is_dead
    )
    select claimed.user_id, claimed.id, claimed.attempts from claimed where not claimed.is_dead;
end
$function$;
comment on function app.claim_webhook_events(integer, integer, integer) is 'Claims events that are due, those of whoever did not come to an end among them, which die after their last attempt.';
revoke all on function app.claim_webhook_events(integer, integer, integer) from public;
grant execute on function app.claim_webhook_events(integer, integer, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.close_account(p_user_id uuid)
 RETURNS uuid[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.close_account(uuid) is 'Hides a user from everybody and ends all they sign in with; returns the jobs that delete what they own, organizations without other members included. Raises members_last_owner_check where others would be left without an owner.';
revoke all on function app.close_account(uuid) from public;

CREATE OR REPLACE FUNCTION app.close_account_instead()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.close_account_instead() is 'Makes deleting a user the same for everybody: it removes them, and their row goes at once where they have little, else last.';
revoke all on function app.close_account_instead() from public;

CREATE OR REPLACE FUNCTION app.create_invitation(p_id uuid, p_email text, p_role text, p_mails_per_hour integer)
 RETURNS SETOF app.invitation
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  role text := app.lock_organization(p_id);
  caller uuid := app.current_session_user_id();
  address text := lower(p_email);
  again_at timestamptz;
  created uuid;
begin
  if role is null then
    return;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may invite');
  end if;
  if role <> 'owner' and p_role = 'owner' then
    perform app.refuse('role_too_low', 'only owners may invite owners');
  end if;
  if exists (
    select from auth.members m join auth.users u on u.id = m.user_id
    where m.organization_id = p_id and lower(u.email) = address
  ) then
    raise exception 'already a member'
      using errcode = 'unique_violation', constraint = 'members_organization_id_user_id_key', table = 'members', schema = 'auth';
  end if;

  -- Each is a mail to somebody who did not ask for it: so many an hour to one address, and 20 times as many
  -- from one user.
  select max(limited.until) into again_at
  from (
    (
      select i.created_at + interval '1 hour' as until from auth.invitations i
      where i.email = address order by i.created_at desc offset p_mails_per_hour - 1 limit 1
    )
    union all
    (
      select i.created_at + interval '1 hour' from auth.invitations i
      where i.inviter_id = caller order by i.created_at desc offset 20 * p_mails_per_hour - 1 limit 1
    )
  ) limited;
  if again_at > now() then
    raise exception using
      errcode = 'RH001', message = 'rate_limited', detail = 'too many invitations; try again later',
      hint = to_char(again_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
  end if;

  update auth.invitations i set status = 'canceled'
  where i.organization_id = p_id and i.email = address and i.status = 'pending';
  insert into auth.invitations (organization_id, inviter_id, email, role, expires_at)
  values (p_id, caller, address, p_role, now() + interval '48 hours')
  returning id into created;
  return query select * from app.describe_invitations(array[created]);
end
$function$;
comment on function app.create_invitation(uuid, text, text, integer) is 'Invites whoever can prove that the address is theirs, for 48 hours; cancels an earlier invitation of the same address. The caller, who sends the mail, says how many one address may get in an hour.';
revoke all on function app.create_invitation(uuid, text, text, integer) from public;
grant execute on function app.create_invitation(uuid, text, text, integer) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.create_organization(p_name text, p_slug text, p_logo text)
 RETURNS SETOF app.own_organization
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  organization uuid := app.new_id();
begin
  insert into auth.organizations (id, name, slug, logo) values (organization, p_name, p_slug, p_logo);
  insert into auth.members (organization_id, user_id, role)
  values (organization, app.current_session_user_id(), 'owner');
  perform app.activate_organization(organization);
  return query select * from app.own_organizations(organization);
end
$function$;
comment on function app.create_organization(text, text, text) is 'Makes an organization whose owner the caller is, and in which their session acts from now on.';
revoke all on function app.create_organization(text, text, text) from public;
grant execute on function app.create_organization(text, text, text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.credential_digest(p_credential text)
 RETURNS bytea
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN sha256(decode(substr(p_credential, 3), 'hex'::text));
comment on function app.credential_digest(text) is 'What is stored of a credential: the SHA-256 of what follows its kind. A session''s is stored in hex.';
revoke all on function app.credential_digest(text) from public;

CREATE OR REPLACE FUNCTION app.current_account(OUT id uuid, OUT name text, OUT email text, OUT image text, OUT credential text, OUT organization_id uuid, OUT organization_role text, OUT scopes text[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  select u.id, u.name, u.email, u.image, a.kind, a.organization_id, a.organization_role, a.scopes
  into id, name, email, image, credential, organization_id, organization_role, scopes
  from app.authenticate(
    current_setting('app.credential', true), nullif(current_setting('app.organization', true), '')::uuid, 'any+lease'
  ) a
  join auth.users u on u.id = a.user_id;
end
$function$;
comment on function app.current_account() is 'The caller''s own profile, and what their credential is and allows; scopes are null for a session, which may do everything.';
revoke all on function app.current_account() from public;
grant execute on function app.current_account() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.current_organization_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  wanted uuid := nullif(current_setting('app.organization', true), '')::uuid;
begin
  if wanted = any (app.member_organization_ids()) then
    return wanted;
  end if;
  return null;
end
$function$;
comment on function app.current_organization_id() is 'The organization in which the caller acts, as long as they are a member of it; null for none.';
revoke all on function app.current_organization_id() from public;
grant execute on function app.current_organization_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.current_organization_role()
 RETURNS text
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  organization uuid := app.current_organization_id();
begin
  if organization is null then
    return null;
  end if;
  return (
    select m.role from auth.members m
    where m.organization_id = organization and m.user_id = app.current_user_id()
  );
end
$function$;
comment on function app.current_organization_role() is 'As what the caller belongs to the organization in which they act; null for none. For policies of what an organization owns.';
revoke all on function app.current_organization_role() from public;
grant execute on function app.current_organization_role() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.current_owner_id()
 RETURNS uuid
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN CASE WHEN app.holds_lease() THEN app.leased_user_id() ELSE app.current_user_id() END;
comment on function app.current_owner_id() is 'Whose row an insert makes, and whose tasks a statement reads: the caller''s, or under a lease its task''s owner''s. A policy for reading binds a lease to its task, too.';
revoke all on function app.current_owner_id() from public;
grant execute on function app.current_owner_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.current_session_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 's:' then
    return (
      select s.id from auth.sessions s
      where s.token = encode(app.credential_digest(credential), 'hex') and s.expires_at > now()
    );
  end if;
  return null;
end
$function$;
comment on function app.current_session_id() is 'The session that this transaction carries; null under any other credential.';
revoke all on function app.current_session_id() from public;
grant execute on function app.current_session_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.current_session_user_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if left(current_setting('app.credential', true), 2) = 's:' then
    return app.current_user_id();
  end if;
  return null;
end
$function$;
comment on function app.current_session_user_id() is 'The user who is signed in with a session; null under an API token, so that a token cannot make or change tokens.';
revoke all on function app.current_session_user_id() from public;
grant execute on function app.current_session_user_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.current_user_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  credential text := current_setting('app.credential', true);
begin
  case left(credential, 2)
    when 's:' then
      return (
        select s.user_id from auth.sessions s
        where s.token = encode(app.credential_digest(credential), 'hex') and s.expires_at > now()
          and not exists (select from auth.users u where u.id = s.user_id and u.removed_at is not null)
      );
    when 't:' then
      return (
        select t.user_id from app.api_tokens t
        where t.token_hash = app.credential_digest(credential)
          and app.is_live(t)
          and not exists (select from auth.users u where u.id = t.user_id and u.removed_at is not null)
      );
    else
      return null;
  end case;
end
$function$;
comment on function app.current_user_id() is 'The user whose session or API token this transaction carries; null for nobody.';
revoke all on function app.current_user_id() from public;
grant execute on function app.current_user_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.decline_invitation(p_id uuid)
 RETURNS SETOF app.invitation
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  invited record;
begin
  select * into invited from app.lock_received_invitation(p_id);
  if invited.organization_id is null then
    return;
  end if;
  update auth.invitations i set status = 'rejected' where i.id = p_id;
  return query select * from app.describe_invitations(array[p_id]);
end
$function$;
comment on function app.decline_invitation(uuid) is 'Turns an invitation of the caller''s verified address down.';
revoke all on function app.decline_invitation(uuid) from public;
grant execute on function app.decline_invitation(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.describe_invitations(p_ids uuid[])
 RETURNS SETOF app.invitation
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return query
    select i.id, i.organization_id, o.name, i.email, i.role, i.status, u.name, i.expires_at, i.created_at
    from auth.invitations i
    join auth.organizations o on o.id = i.organization_id
    join auth.users u on u.id = i.inviter_id
    where i.id = any (p_ids)
    order by i.id desc;
end
$function$;
comment on function app.describe_invitations(uuid[]) is 'Invitations with the names of organization and inviter, newest first.';
revoke all on function app.describe_invitations(uuid[]) from public;

CREATE OR REPLACE FUNCTION app.detach_content(p_organization_id uuid, p_before timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  detached integer;
begin
  -- In one order, so that two organizations that are removed at once don't wait for each other's creators.
  perform app.lock_page(creator.user_id, false)
  from (
    select distinct c.user_id
    from (
      select c.user_id from app.content c
      where c.organization_id = p_organization_id and c.created_at <= p_before
      order by c.user_id, c.id
      limit p_limit
    ) c
    order by c.user_id
  ) creator;
  with chosen as materialized (
    select c.user_id, c.id from app.content c
    where c.organization_id = p_organization_id and c.created_at <= p_before
    order by c.user_id, c.id
    limit p_limit
  )
  update app.content c set organization_id = null
  from chosen
  where c.user_id = chosen.user_id and c.id = chosen.id and (c.organization_id = p_organization_id) is true;
  get diagnostics detached = row_count;
  return detached;
end
$function$;
comment on function app.detach_content(uuid, timestamp with time zone, integer) is 'Leaves content of an organization that was made before a time with its creators.';
revoke all on function app.detach_content(uuid, timestamp with time zone, integer) from public;

CREATE OR REPLACE FUNCTION app.detach_organization_content()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  -- Of one that is deleted for good, content leaves it with everything else that is deleted.
  if exists (
    select from app.erasures e
    where e.parent = 'auth.organizations' and e.key = jsonb_build_object('id', new.id)
      and e.deletion_id is null and e.finished_at is null
  ) then
    return null;
  end if;
  if app.detach_content(new.id, 'infinity', 1000) >= 1000 then
    perform app.begin_erasure('auth.organizations', jsonb_build_object('id', new.id), new.deletion_id);
  end if;
  return null;
end
$function$;
comment on function app.detach_organization_content() is 'Leaves an organization''s content with its creators when it is removed.';
revoke all on function app.detach_organization_content() from public;

CREATE OR REPLACE FUNCTION app.end_credential_leases()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.end_credential_leases() is 'Ends the leases that were claimed with a session or a token that is deleted, before they go with it: what follows a lease''s end follows.';
revoke all on function app.end_credential_leases() from public;

CREATE OR REPLACE FUNCTION app.end_task_lease()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update app.task_leases l set ended_at = now()
  where l.user_id = new.user_id and l.task_id = new.id and l.ended_at is null;
  return null;
end
$function$;
comment on function app.end_task_lease() is 'Ends the lease of a task that is over, stopped or removed.';
revoke all on function app.end_task_lease() from public;

CREATE OR REPLACE FUNCTION app.erase_batch(p_id uuid, p_limit integer, OUT parent text, OUT key jsonb, OUT step text, OUT erased integer, OUT row_count bigint, OUT is_finished boolean, OUT created_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  job app.erasures;
begin
  -- Another process may be at it.
  select * into job from app.erasures e where e.id = p_id and e.finished_at is null for update skip locked;
  if not found then
    return;
  end if;
  if job.deletion_id is null then
    select d.step, d.position, d.erased into job.step, job.position, erased from app.erase_dependents(job, p_limit) d;
  else
    erased := app.follow_batch(job.parent::regclass, job.key, job.deletion_id, job.created_at, p_limit);
  end if;
  step := job.step;
  parent := job.parent;
  key := job.key;
  created_at := job.created_at;
  row_count := job.row_count + erased;
  is_finished := erased < p_limit;
  update app.erasures e
  set
    step = job.step,
    position = job.position,
    row_count = job.row_count + erased,
    due_at = clock_timestamp(),
    finished_at = case when is_finished then clock_timestamp() end
  where e.id = job.id;
end
$function$;
comment on function app.erase_batch(uuid, integer) is 'Deletes, or marks, up to p_limit of the rows that depend on a removed row. Nulls where there is no such job, or another process is at it.';
revoke all on function app.erase_batch(uuid, integer) from public;
grant execute on function app.erase_batch(uuid, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.erasure_steps(p_parent regclass, p_columns text[])
 RETURNS TABLE(step text, target regclass, key text[], columns text[], cleared text[], place text[], place_types text[])
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  with recursive
  edges as (
    select
      k.conrelid as child,
      k.confrelid as parent,
      array(
        select a.attname::text collate "default" from unnest(k.conkey) with ordinality c (num, n)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.num order by c.n
      ) as columns,
      array(
        select a.attname::text collate "default" from unnest(k.confkey) with ordinality c (num, n)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.num order by c.n
      ) as parent_columns,
      case when k.confdeltype = 'n' then array(
        select a.attname::text collate "default" from unnest(coalesce(k.confdelsetcols, k.conkey)) num
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = num
      ) end as cleared
    from pg_constraint k
    where k.contype = 'f' and k.confdeltype in ('c', 'n') and k.conrelid <> k.confrelid
    union all
    select s.child, s.parent, s.columns, s.parent_columns, s.cleared from app.slow_references() s
  ),
  reached as (
    select p_parent::oid as relid, p_columns as columns, null::text[] as cleared, 0 as depth, 'delete' as effect
    union
    select
      e.child,
      array(
        select e.columns[array_position(e.parent_columns, c.name)]
        from unnest(r.columns) with ordinality c (name, n) order by c.n
      ),
      e.cleared,
      r.depth + 1,
      case when r.effect <> 'delete' then 'none' when e.cleared is null then 'delete' else 'clear' end
    from reached r
    join edges e on e.parent = r.relid and r.columns <@ e.parent_columns
    where r.depth < 20
  ),
  -- A table comes before every table that it refers to, by whatever way.
  depths as (
    select r.relid, max(r.depth) as depth from reached r group by r.relid
  ),
  steps as (
    select distinct r.relid, r.columns, null::text[] as cleared from reached r where r.effect = 'delete' and r.depth > 0
    union all
    select distinct r.relid, r.columns, r.cleared from reached r
    where r.effect = 'clear' and not exists (
      select from reached other
      where other.relid = r.relid and other.columns = r.columns and other.effect = 'delete'
    )
  )
  select
    format('%s (%s)', s.relid::regclass, array_to_string(s.columns, ', ')),
    s.relid::regclass, pk.columns, s.columns, s.cleared,
    case when leads then pk.columns[cardinality(s.columns) + 1:] end,
    case when leads then pk.types[cardinality(s.columns) + 1:] end
  from steps s
  join depths d on d.relid = s.relid
  join lateral (
    select
      array_agg(a.attname::text collate "default" order by c.n) as columns,
      array_agg(format_type(a.atttypid, a.atttypmod) order by c.n) as types
    from pg_index i
    cross join unnest(i.indkey) with ordinality c (num, n)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = c.num
    where i.indrelid = s.relid and i.indisprimary
  ) pk on true
  cross join lateral (
    values (
      s.cleared is null
      and pk.columns[:cardinality(s.columns)] = s.columns
      and cardinality(pk.columns) > cardinality(s.columns)
    )
  ) ordered (leads)
  order by d.depth desc, 1
$function$;
comment on function app.erasure_steps(regclass, text[]) is 'What is deleted, or has columns set to null (cleared), before a row of p_parent goes, in this order: by the columns that hold its p_columns, and in the order of what follows them in the primary key (place), where that leads with them. Read from the catalog.';
revoke all on function app.erasure_steps(regclass, text[]) from public;

CREATE OR REPLACE FUNCTION app.expire_approval(OUT user_id uuid, OUT organization_id uuid)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  due record;
  approval app.approvals;
begin
  loop
    select a.user_id, a.id into due from app.approvals a
    where a.status = 'pending' and a.expires_at <= now()
    order by a.expires_at
    limit 1;
    if not found then
      return;
    end if;
    approval := app.lock_approval(due.user_id, due.id);
    if approval.status = 'pending' then
      approval := app.settle_approval(approval, 'expired', null, null);
      user_id := approval.user_id;
      organization_id := approval.organization_id;
      return;
    end if;
  end loop;
end
$function$;
comment on function app.expire_approval() is 'Expires one approval whose time is over, which denies its tool call. One a transaction, since each locks sequences. Nulls where there is none.';
revoke all on function app.expire_approval() from public;
grant execute on function app.expire_approval() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.export_account()
 RETURNS TABLE(source text, data jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.export_account() is 'The caller''s rows in auth, without tokens and passwords, for an export.';
revoke all on function app.export_account() from public;
grant execute on function app.export_account() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.export_rows(p_source text, p_after uuid, p_limit integer)
 RETURNS TABLE(id uuid, data jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.export_rows(text, uuid, integer) is 'A batch of the caller''s rows of a table in auth that may have many, by id; without tokens and hashes.';
revoke all on function app.export_rows(text, uuid, integer) from public;
grant execute on function app.export_rows(text, uuid, integer) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.extend_lease(OUT expires_at timestamp with time zone, OUT is_last boolean)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  lease record;
begin
  select * into lease from app.live_lease(current_setting('app.credential', true));
  -- Waits for whoever ends the lease at this moment, and then finds it ended.
  update app.task_leases l
  set expires_at = least(
    now() + make_interval(secs => l.lease_seconds),
    (select app.task_deadline(t.started_at, t.options) from app.tasks t where t.user_id = l.user_id and t.id = l.task_id)
  )
  where l.user_id = lease.user_id and l.id = lease.lease_id and l.ended_at is null and l.expires_at > now()
  returning l.expires_at, l.expires_at < now() + make_interval(secs => l.lease_seconds) into expires_at, is_last;
  if expires_at is null then
    raise exception 'lease_lost' using errcode = 'RH409';
  end if;
end
$function$;
comment on function app.extend_lease() is 'Prolongs the caller''s lease by its length; is_last once the task''s maximum duration leaves no room for another.';
revoke all on function app.extend_lease() from public;
grant execute on function app.extend_lease() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.fail_abandoned_messages()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  message record;
  event integer;
begin
  -- The task first, as everyone does who needs both.
  perform from app.tasks t where t.user_id = new.user_id and t.id = new.task_id for update;
  if not found then
    return null;
  end if;
  for message in
    select m.id from app.task_messages m
    where m.user_id = new.user_id and m.task_id = new.task_id and m.status = 'streaming'
    order by m.seq
    for update
  loop
    update app.task_messages m
    set
      status = 'failed',
      content = coalesce(
        (
          select string_agg(d.text, '' order by d."offset") from app.task_message_deltas d
          where d.user_id = m.user_id and d.message_id = m.id
        ),
        ''
      )
    where m.user_id = new.user_id and m.id = message.id;
    update app.tasks t set last_event_seq = t.last_event_seq + 1
    where t.user_id = new.user_id and t.id = new.task_id
    returning t.last_event_seq into event;
    insert into app.task_events (user_id, task_id, seq, kind, message_id)
    values (new.user_id, new.task_id, event, 'finished', message.id);
  end loop;
  return null;
end
$function$;
comment on function app.fail_abandoned_messages() is 'Fails the messages that were still being written when their lease ended.';
revoke all on function app.fail_abandoned_messages() from public;

CREATE OR REPLACE FUNCTION app.fail_webhook_event(p_user uuid, p_id uuid, p_attempt integer, p_error text, p_retry_after_ms integer)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  becomes text := case when p_retry_after_ms is null then 'dead' else 'failed' end;
begin
  update app.webhook_events e
  set status = becomes, next_attempt_at = now() + p_retry_after_ms * interval '1 ms', last_error = p_error
  where e.user_id = p_user and e.id = p_id and e.status = 'processing' and e.attempts = p_attempt
  returning e.status into becomes;
  return becomes;
end
$function$;
comment on function app.fail_webhook_event(uuid, uuid, integer, text, integer) is 'Notes that an attempt failed, and when the next is due; without a time for one, the event is dead.';
revoke all on function app.fail_webhook_event(uuid, uuid, integer, text, integer) from public;
grant execute on function app.fail_webhook_event(uuid, uuid, integer, text, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.finish_file_removals(p_storage_keys text[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from app.file_removals r where r.storage_key = any (p_storage_keys) and r.repeat_at is null;
  update app.file_removals r set due_at = r.repeat_at, repeat_at = null
  where r.storage_key = any (p_storage_keys) and r.repeat_at is not null;
end
$function$;
comment on function app.finish_file_removals(text[]) is 'Notes that files were removed: each is due once more, or off the list.';
revoke all on function app.finish_file_removals(text[]) from public;
grant execute on function app.finish_file_removals(text[]) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.fold_message_deltas()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  message record;
  folded integer := 0;
  parts integer;
  removed integer := 0;
begin
  for message in
    select m.user_id, m.task_id, m.id, m.content
    from app.task_messages m
    join app.tasks t on t.user_id = m.user_id and t.id = m.task_id
    where (m.user_id, m.id) in (
      select e.user_id, e.message_id
      from app.task_events e
      join app.task_messages done on done.user_id = e.user_id and done.id = e.message_id
      where e.kind = 'delta'
        and e."offset" > 0
        and e.at < now() - interval '7 days'
        and done.status <> 'streaming'
        and done.updated_at < now() - interval '7 days'
      order by e.at
      limit 1000
    )
    limit 50
    -- The task first, as everyone does who needs both.
    for update of t skip locked
  loop
    update app.task_message_deltas d set text = message.content
    where d.user_id = message.user_id and d.message_id = message.id and d."offset" = 0;
    delete from app.task_message_deltas d
    where d.user_id = message.user_id and d.message_id = message.id and d."offset" > 0;
    get diagnostics parts = row_count;
    removed := removed + parts;
    delete from app.task_events e
    where e.user_id = message.user_id
      and e.task_id = message.task_id
      and e.message_id = message.id
      and e.kind = 'delta'
      and e.seq < (
        select max(newest.seq) from app.task_events newest
        where newest.user_id = message.user_id
          and newest.task_id = message.task_id
          and newest.message_id = message.id
          and newest.kind = 'delta'
      );
    update app.task_events e set "offset" = 0
    where e.user_id = message.user_id
      and e.task_id = message.task_id
      and e.message_id = message.id
      and e.kind = 'delta';
    folded := folded + 1;
    -- However long the messages are, a call ends well before its deadline; one that it cut off would begin
    -- with the same again.
    exit when removed >= 20000;
  end loop;
  return folded;
end
$function$;
comment on function app.fold_message_deltas() is 'Makes one delta of each message''s that was finished more than a week ago, of at most fifty messages, and returns of how many.';
revoke all on function app.fold_message_deltas() from public;
grant execute on function app.fold_message_deltas() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.follow(p_parent text, p_key jsonb, p_deletion_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_deletion_id is not null and app.follow_batch(p_parent::regclass, p_key, p_deletion_id, null, 1000) >= 1000 then
    perform app.begin_erasure(p_parent, p_key, p_deletion_id);
  end if;
end
$function$;
comment on function app.follow(text, jsonb, uuid) is 'Lets rows follow one that is removed or restored: a thousand at once, the rest in later batches.';
revoke all on function app.follow(text, jsonb, uuid) from public;

CREATE OR REPLACE FUNCTION app.follow_batch(p_parent regclass, p_key jsonb, p_deletion_id uuid, p_before timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  parent record;
  follower record;
  own_key text;
  chosen_key text;
  condition text;
  changes text;
  wanted integer;
  n integer;
  changed integer := 0;
begin
  execute format(
    'select t.deletion_id, t.deleted_at from %s t where %s', p_parent,
    (select string_agg(format('t.%I = %L', k.key, k.value), ' and ') from jsonb_each_text(p_key) k)
  ) into parent;
  for follower in select * from app.followers(p_parent) loop
    wanted := p_limit - changed;
    select string_agg(format('t.%I = %L', c.name, p_key ->> follower.parent_columns[c.n]), ' and ')
    into condition
    from unnest(follower.columns) with ordinality c (name, n);
    if parent.deletion_id = p_deletion_id then
      condition := condition || ' and t.deletion_id is null';
      changes := format('deletion_id = %L', p_deletion_id);
      if follower.has_time then
        changes := changes || format(', deleted_at = %L', parent.deleted_at);
      end if;
    else
      condition := condition || format(' and t.deletion_id = %L', p_deletion_id);
      changes := case
        when follower.has_time then 'deletion_id = null, deleted_at = null'
        -- An approval whose task, or whose organization, is removed as well stays hidden with that.
        when follower.child = 'app.approvals'::regclass then
          'deletion_id = coalesce(
             (select p.deletion_id from app.tasks p where p.user_id = t.user_id and p.id = t.task_id),
             (select p.deletion_id from auth.organizations p where p.id = t.organization_id)
           )'
        else 'deletion_id = null'
      end;
      if follower.child = 'app.content'::regclass and p_before is not null then
        -- Its name is another's by now: it stays where it can be restored by itself, under another name.
        condition := condition || ' and not app.is_slug_taken(t.user_id, t.organization_id, t.slug)';
      end if;
    end if;
    select
      string_agg(format('t.%I', a.attname), ', ' order by c.n), string_agg(format('c.%I', a.attname), ', ' order by c.n)
    into own_key, chosen_key
    from pg_index i
    cross join unnest(i.indkey) with ordinality c (num, n)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = c.num
    where i.indrelid = follower.child and i.indisprimary;
    execute format(
      'with chosen as materialized (select %3$s from %1$s t where %5$s limit %6$s)
       update %1$s t set %2$s from chosen c where (%3$s) = (%4$s) and (%5$s) is true',
      follower.child, changes, own_key, chosen_key, condition, wanted
    );
    get diagnostics n = row_count;
    changed := changed + n;
    if changed >= p_limit then
      return changed;
    end if;
  end loop;
  if p_parent = 'auth.organizations'::regclass and p_before is not null then
    changed := changed + app.detach_content((p_key ->> 'id')::uuid, p_before, p_limit - changed);
  end if;
  return changed;
end
$function$;
comment on function app.follow_batch(regclass, jsonb, uuid, timestamp with time zone, integer) is 'Marks up to p_limit rows with the deletion_id of a removed row that they follow or, once that is restored, takes the mark off those that have it. With a time, as a later batch: what can no longer be restored is left as it is, and content that an organization had before it leaves it.';
revoke all on function app.follow_batch(regclass, jsonb, uuid, timestamp with time zone, integer) from public;

CREATE OR REPLACE FUNCTION app.follow_deletion()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.follow_deletion() is 'Marks the rows that hang on a removed one with its deletion_id, and brings back those that have it when it is restored. Arguments: the child''s table, its column with the parent''s id, and user_id where both tables belong to a user.';
revoke all on function app.follow_deletion() from public;

CREATE OR REPLACE FUNCTION app.follow_in_batches()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.follow_in_batches() is 'Deletes or changes what depends on a removed row: a thousand rows at once, the rest in later batches. Arguments: the columns of its key.';
revoke all on function app.follow_in_batches() from public;

CREATE OR REPLACE FUNCTION app.followers(p_parent regclass)
 RETURNS TABLE(child regclass, columns text[], parent_columns text[], has_time boolean)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select
    args.list[1]::regclass,
    case when t.tgnargs > 2 then array['user_id', args.list[2]] else array[args.list[2]] end,
    case when t.tgnargs > 2 then array['user_id', 'id'] else array['id'] end,
    true
  from pg_trigger t
  cross join lateral (select string_to_array(encode(t.tgargs, 'escape'), '\000') as list) args
  where t.tgrelid = p_parent and t.tgfoid = 'app.follow_deletion'::regproc and not t.tgisinternal
  union all
  select f.child, f.columns, f.parent_columns, false
  from (
    values
      ('app.tasks'::regclass, 'app.approvals'::regclass, '{user_id,task_id}'::text[], '{user_id,id}'::text[]),
      ('auth.organizations', 'app.ai_provider_configs', '{organization_id}', '{id}'),
      ('auth.organizations', 'app.api_tokens', '{organization_id}', '{id}'),
      ('auth.organizations', 'app.approvals', '{organization_id}', '{id}')
  ) f (parent, child, columns, parent_columns)
  where f.parent = p_parent
$function$;
comment on function app.followers(regclass) is 'Tables whose rows get the deletion_id of a removed row of p_parent: its triggers of app.follow_deletion, and what cannot be removed alone.';
revoke all on function app.followers(regclass) from public;

CREATE OR REPLACE FUNCTION app.free_slug_on_org_delete()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  wanted text := new.slug;
  n integer := 1;
begin
  perform app.lock_page(new.user_id, false);
  while exists (
    select from app.content c
    where c.user_id = new.user_id and c.slug = new.slug and c.organization_id is null and c.deleted_at is null
      and c.id <> new.id
  ) loop
    n := n + 1;
    -- A creator with a hundred of one name gets one that nothing else has.
    new.slug := case
      when n <= 100 then left(wanted, 90) || '-' || n
      else left(wanted, 60) || '-' || replace(new.id::text, '-', '')
    end;
  end loop;
  return new;
end
$function$;
comment on function app.free_slug_on_org_delete() is 'Gives content that leaves its organization a slug that is free on its creator''s own page, so that nothing is in the way.';
revoke all on function app.free_slug_on_org_delete() from public;

CREATE OR REPLACE FUNCTION app.hold_page()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform app.lock_page(new.user_id, true);
  return new;
end
$function$;
comment on function app.hold_page() is 'Lets nobody bring content to the creator''s own page while a slug is being written there, and the other way round.';
revoke all on function app.hold_page() from public;

CREATE OR REPLACE FUNCTION app.hold_places(p_process_id uuid, p_holders text[], p_counts integer[], p_is_taking boolean, OUT holder text, OUT others integer)
 RETURNS SETOF record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  -- Nothing here outlives the processes for long, so no commit waits for the disk.
  perform set_config('synchronous_commit', 'off', true);
  if p_is_taking then
    -- Until the end of the transaction: of two processes that take for the same user, the second sees the
    -- first.
    perform pg_advisory_xact_lock(hashtextextended(named.holder, 24))
    from (select distinct unnest(p_holders) as holder order by 1) named;
  end if;
  delete from app.held_places p
  using unnest(p_holders, p_counts) as announced (holder, count)
  where p.holder = announced.holder and p.process_id = p_process_id and announced.count = 0;
  insert into app.held_places as p (holder, process_id, count, expires_at)
  select announced.holder, p_process_id, announced.count, now() + interval '30 seconds'
  from unnest(p_holders, p_counts) as announced (holder, count)
  where announced.count > 0
  order by announced.holder
  on conflict (holder, process_id) do update set count = excluded.count, expires_at = excluded.expires_at;
  if p_is_taking then
    return query
    select announced.holder, coalesce(sum(p.count), 0)::integer
    from unnest(p_holders) as announced (holder)
    left join app.held_places p
      on p.holder = announced.holder and p.process_id <> p_process_id and p.expires_at > now()
    group by announced.holder;
  end if;
end
$function$;
comment on function app.hold_places(uuid, text[], integer[], boolean) is 'Announces what callers of a process hold, for half a minute, and tells a process that takes more what the other processes'' callers hold of it. Locks its holders then, in order.';
revoke all on function app.hold_places(uuid, text[], integer[], boolean) from public;
grant execute on function app.hold_places(uuid, text[], integer[], boolean) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.holds_lease()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN ("left"(current_setting('app.credential'::text, true), 2) = 'l:'::text);
comment on function app.holds_lease() is 'Whether this transaction acts under a lease, one that has ended included.';
revoke all on function app.holds_lease() from public;
grant execute on function app.holds_lease() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.is_account_connected(p_provider text, p_external_id text)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select exists (
    select from app.connections c
    where c.provider = p_provider and c.external_id = p_external_id and c.status <> 'revoked'
      and not exists (select from auth.users u where u.id = c.user_id and u.removed_at is not null)
  )
$function$;
comment on function app.is_account_connected(text, text) is 'Whether anybody is connected to the account, whose access would end with it.';
revoke all on function app.is_account_connected(text, text) from public;
grant execute on function app.is_account_connected(text, text) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.is_leased(p_user_id uuid, p_task_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select from app.task_leases l
    where l.user_id = p_user_id and l.task_id = p_task_id and l.ended_at is null and l.expires_at > now()
  );
end
$function$;
comment on function app.is_leased(uuid, uuid) is 'Whether somebody works on a task.';
revoke all on function app.is_leased(uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.is_slug_taken(p_user_id uuid, p_organization_id uuid, p_slug text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_organization_id is null then
    return exists (
      select from app.content c
      where c.user_id = p_user_id and c.slug = p_slug and c.organization_id is null and c.deleted_at is null
    );
  end if;
  return exists (
    select from app.content c
    where c.organization_id = p_organization_id and c.slug = p_slug
      and c.organization_id is not null and c.deleted_at is null
  );
end
$function$;
comment on function app.is_slug_taken(uuid, uuid, text) is 'Whether a slug is in use on a creator''s own page, or in an organization. A function, so that it is looked up row by row.';
revoke all on function app.is_slug_taken(uuid, uuid, text) from public;

CREATE OR REPLACE FUNCTION app.is_upload_open(p_user uuid, p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select from app.media_items m
    where m.user_id = p_user and m.id = p_id and m.status = 'uploading' and m.deleted_at is null
      and not exists (select from auth.users u where u.id = m.user_id and u.removed_at is not null)
  );
end
$function$;
comment on function app.is_upload_open(uuid, uuid) is 'Whether a media item still waits for its file; asked for whoever presents an upload address that was given out.';
revoke all on function app.is_upload_open(uuid, uuid) from public;
grant execute on function app.is_upload_open(uuid, uuid) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.keep_tool_call_transition()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_user = 'rowhouse_api' and not (old.status = 'running' and new.status in ('succeeded', 'failed')) then
    raise exception 'a tool call that is % does not become %', old.status, new.status
      using errcode = 'check_violation', constraint = 'tool_calls_transition_check', table = 'tool_calls', schema = 'app';
  end if;
  return new;
end
$function$;
comment on function app.keep_tool_call_transition() is 'Lets the API end calls that are running, and change no other.';
revoke all on function app.keep_tool_call_transition() from public;

CREATE OR REPLACE FUNCTION app.keep_webhook_event_transition()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_user = 'rowhouse_api' then
    if not (old.status in ('failed', 'dead') and new.status = 'received') then
      raise exception 'a webhook event that is % does not become %', old.status, new.status
        using
          errcode = 'check_violation', constraint = 'webhook_events_transition_check',
          table = 'webhook_events', schema = 'app';
    end if;
    new.attempts := 0;
    new.next_attempt_at := now();
    new.last_error := null;
  end if;
  return new;
end
$function$;
comment on function app.keep_webhook_event_transition() is 'Lets the API replay events that failed, from the first attempt on, and change no other.';
revoke all on function app.keep_webhook_event_transition() from public;

CREATE OR REPLACE FUNCTION app.known_user_ids()
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return array(
    select app.current_user_id()
    union
    select m.user_id from auth.members m where m.organization_id = any (app.member_organization_ids())
  );
end
$function$;
comment on function app.known_user_ids() is 'The users whose name and image the caller may see: themselves and fellow members.';
revoke all on function app.known_user_ids() from public;
grant execute on function app.known_user_ids() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.lacks_second_factor(p_user_id uuid, p_organization_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select from auth.organizations o
    join auth.users u on u.id = p_user_id and not u.two_factor_enabled
    where o.id = p_organization_id and o.require_two_factor
  );
end
$function$;
comment on function app.lacks_second_factor(uuid, uuid) is 'Whether an organization requires a second factor that the user has not. Not granted to anyone.';
revoke all on function app.lacks_second_factor(uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.lease_task(p_user_id uuid, p_task_id uuid, p_worker text, p_lease_seconds integer, p_credential_hash bytea, p_api_token_id uuid, p_session_id uuid)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  lease uuid := app.new_id();
  ends timestamptz;
begin
  update app.task_leases l set ended_at = now()
  where l.user_id = p_user_id and l.task_id = p_task_id and l.ended_at is null;
  update app.tasks t
  set status = 'processing', lease_id = lease, started_at = coalesce(t.started_at, now()), error = null
  where t.user_id = p_user_id and t.id = p_task_id
  returning least(now() + make_interval(secs => p_lease_seconds), app.task_deadline(t.started_at, t.options)) into ends;
  insert into app.task_leases (
    user_id, id, task_id, credential_hash, worker, lease_seconds, expires_at, api_token_id, session_id
  )
  values (
    p_user_id, lease, p_task_id, p_credential_hash, p_worker, p_lease_seconds, ends, p_api_token_id, p_session_id
  );
  return ends;
end
$function$;
comment on function app.lease_task(uuid, uuid, text, integer, bytea, uuid, uuid) is 'The second half of a claim.';
revoke all on function app.lease_task(uuid, uuid, text, integer, bytea, uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.leased_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 'l:' then
    return (select l.lease_id from app.live_lease(credential) l);
  end if;
  return null;
end
$function$;
comment on function app.leased_id() is 'This transaction''s lease; null without one.';
revoke all on function app.leased_id() from public;
grant execute on function app.leased_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.leased_task_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 'l:' then
    return (select l.task_id from app.live_lease(credential) l);
  end if;
  return null;
end
$function$;
comment on function app.leased_task_id() is 'The one task that this transaction''s lease opens; null without a lease.';
revoke all on function app.leased_task_id() from public;
grant execute on function app.leased_task_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.leased_user_id()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  credential text := current_setting('app.credential', true);
begin
  if left(credential, 2) = 'l:' then
    return (select l.user_id from app.live_lease(credential) l);
  end if;
  return null;
end
$function$;
comment on function app.leased_user_id() is 'The owner of the task that this transaction''s lease opens; null without a lease.';
revoke all on function app.leased_user_id() from public;
grant execute on function app.leased_user_id() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.leave_organization(p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_session_user_id();
begin
  -- Open to those as well who lack the second factor that the organization requires.
  if not exists (select from auth.members m where m.organization_id = p_id and m.user_id = caller) then
    return false;
  end if;
  perform from auth.organizations o where o.id = p_id and o.deleted_at is null for update;
  if not found then
    return false;
  end if;
  delete from auth.members m where m.organization_id = p_id and m.user_id = caller;
  return found;
end
$function$;
comment on function app.leave_organization(uuid) is 'Ends the caller''s membership; false where there is none.';
revoke all on function app.leave_organization(uuid) from public;
grant execute on function app.leave_organization(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.limit_media_inspections()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform from auth.users u where u.id = new.user_id for no key update;
  if (
    select count(*) from app.media_items m
    where m.user_id = new.user_id
      and m.status in ('uploaded', 'processing')
      and m.deleted_at is null
      and m.updated_at > now() - interval '5 minutes'
  ) >= 32 then
    raise exception using
      errcode = 'RH001',
      message = 'rate_limited',
      detail = '32 of your files are being inspected: complete this one when they are ready',
      hint = to_char((now() + interval '5 seconds') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
  end if;
  return new;
end
$function$;
comment on function app.limit_media_inspections() is 'Refuses to begin with a file while 32 of its owner''s are being inspected.';
revoke all on function app.limit_media_inspections() from public;

CREATE OR REPLACE FUNCTION app.list_file_removals()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into app.file_removals (storage_key, repeat_at)
  select key, greatest(old.created_at, now() - interval '1 day') + interval '2 days'
  -- Whoever was making the thumbnail may not have come to name it.
  from unnest(array[old.storage_key, 'thumbnails/' || old.id::text || '/thumbnail.webp']) key
  on conflict (storage_key) do nothing;
  return null;
end
$function$;
comment on function app.list_file_removals() is 'Lists the files of a media item that failed or went away, to be removed.';
revoke all on function app.list_file_removals() from public;

CREATE OR REPLACE FUNCTION app.list_invitations(p_id uuid)
 RETURNS SETOF app.invitation
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_session_user_id();
  own_role text;
begin
  if p_id is null then
    return query
      select d.* from app.describe_invitations(array(
        select i.id
        from auth.users u
        join auth.invitations i on i.email = lower(u.email) and i.status = 'pending' and i.expires_at > now()
        join auth.organizations o on o.id = i.organization_id and o.deleted_at is null
        where u.id = caller and u.email_verified
      )) d;
    return;
  end if;
  select o.role into own_role from app.own_organizations(p_id) o;
  if own_role is null then
    perform app.refuse('not_found', 'organization not found');
  end if;
  perform app.require_second_factor(caller, p_id);
  if own_role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins see whom an organization invited');
  end if;
  return query
    select d.* from app.describe_invitations(array(
      select i.id from auth.invitations i
      where i.organization_id = p_id
        and i.status = 'pending'
        -- With its id an invitation can be cancelled or passed on; those that make owners are the owners'.
        and (own_role = 'owner' or own_role = 'admin' and i.role <> 'owner')
    )) d;
end
$function$;
comment on function app.list_invitations(uuid) is 'The pending invitations of one of the caller''s organizations, expired ones included; without one, those that the caller received.';
revoke all on function app.list_invitations(uuid) from public;
grant execute on function app.list_invitations(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.list_sessions()
 RETURNS TABLE(id uuid, is_current boolean, user_agent text, ip_address text, created_at timestamp with time zone, expires_at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.list_sessions() is 'The sessions of the caller, who must be signed in with one; newest first.';
revoke all on function app.list_sessions() from public;
grant execute on function app.list_sessions() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.live_lease(p_credential text, OUT user_id uuid, OUT task_id uuid, OUT lease_id uuid)
 RETURNS record
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.live_lease(text) is 'The lease that a credential opens: not ended, not lapsed, and claimed with what is still valid.';
revoke all on function app.live_lease(text) from public;

CREATE OR REPLACE FUNCTION app.lock_organization(p_id uuid)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_session_user_id();
begin
  -- Whoever does not belong to it must not make others wait.
  if not exists (select from auth.members m where m.organization_id = p_id and m.user_id = caller) then
    return null;
  end if;
  perform from auth.organizations o where o.id = p_id and o.deleted_at is null for update;
  if not found then
    return null;
  end if;
  perform app.require_second_factor(caller, p_id);
  return (select m.role from auth.members m where m.organization_id = p_id and m.user_id = caller);
end
$function$;
comment on function app.lock_organization(uuid) is 'Locks one of the caller''s organizations and tells their role in it, as it is under the lock; null where it is not theirs.';
revoke all on function app.lock_organization(uuid) from public;

CREATE OR REPLACE FUNCTION app.lock_page(p_user_id uuid, p_is_shared boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  key bigint := hashtextextended('app.content ' || p_user_id::text, 0);
begin
  if p_is_shared then
    perform pg_advisory_xact_lock_shared(key);
  else
    perform pg_advisory_xact_lock(key);
  end if;
end
$function$;
comment on function app.lock_page(uuid, boolean) is 'Locks a creator''s own page until the transaction ends. Not granted to anyone: triggers call it.';
revoke all on function app.lock_page(uuid, boolean) from public;

CREATE OR REPLACE FUNCTION app.lock_received_invitation(p_id uuid, OUT organization_id uuid, OUT role text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  recipient record;
  invited record;
begin
  select u.email, u.email_verified into recipient from auth.users u where u.id = app.current_session_user_id();
  -- Before anything is looked up: who only claims an address learns nothing of what was sent to it.
  if not recipient.email_verified then
    perform app.refuse('email_not_verified', 'confirm your mail address first');
  end if;
  select i.organization_id into organization_id
  from auth.invitations i where i.id = p_id and i.email = lower(recipient.email);
  -- The organization first, as everyone does who needs both.
  perform from auth.organizations o where o.id = organization_id and o.deleted_at is null for update;
  if not found then
    organization_id := null;
    return;
  end if;
  select i.role, i.status, i.expires_at into invited from auth.invitations i where i.id = p_id for update;
  perform app.require_pending(invited.status, invited.expires_at);
  role := invited.role;
end
$function$;
comment on function app.lock_received_invitation(uuid) is 'Locks a pending invitation of the caller''s verified address; nulls where there is none. Not granted to anyone.';
revoke all on function app.lock_received_invitation(uuid) from public;

CREATE OR REPLACE FUNCTION app.mark_approvals_with_task()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform app.follow(
    'app.tasks', jsonb_build_object('user_id', new.user_id, 'id', new.id), coalesce(old.deletion_id, new.deletion_id)
  );
  return null;
end
$function$;
comment on function app.mark_approvals_with_task() is 'Hides a removed task''s approvals, and brings back those that went with it.';
revoke all on function app.mark_approvals_with_task() from public;

CREATE OR REPLACE FUNCTION app.mark_with_organization(p_id uuid, p_deletion_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform app.follow('auth.organizations', jsonb_build_object('id', p_id), p_deletion_id);
end
$function$;
comment on function app.mark_with_organization(uuid, uuid) is 'Marks what goes with an organization.';
revoke all on function app.mark_with_organization(uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.member_organization_ids()
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
    where t.token_hash = app.credential_digest(credential);
  end if;
  return array(
    select m.organization_id from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.user_id = caller
      and (bound is null or m.organization_id = bound)
      and (not o.require_two_factor or (select u.two_factor_enabled from auth.users u where u.id = caller))
  );
end
$function$;
comment on function app.member_organization_ids() is 'The organizations in which the caller may act: all they belong to, or the one that their API token is bound to, without those that require a second factor of a caller who has none.';
revoke all on function app.member_organization_ids() from public;
grant execute on function app.member_organization_ids() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.new_id()
 RETURNS uuid
 LANGUAGE plpgsql
 PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.new_id() is 'A UUIDv7: the server''s own where it has one (PostgreSQL 18), else an equivalent.';
revoke all on function app.new_id() from public;
grant execute on function app.new_id() to rowhouse_api;
grant execute on function app.new_id() to rowhouse_auth;
grant execute on function app.new_id() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.next_approval_seq(p_user_id uuid)
 RETURNS integer
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  insert into app.approval_sequences as s (user_id, last_seq) values (p_user_id, 1)
  on conflict (user_id) do update set last_seq = s.last_seq + 1
  returning s.last_seq
$function$;
comment on function app.next_approval_seq(uuid) is 'The next number of a user''s approvals. Locks their sequence until the commit.';
revoke all on function app.next_approval_seq(uuid) from public;

CREATE OR REPLACE FUNCTION app.next_erasure(OUT id uuid, OUT open_count integer)
 RETURNS record
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select
    (select e.id from app.erasures e where e.finished_at is null and e.due_at <= now() order by e.due_at limit 1),
    (select count(*)::integer from app.erasures e where e.finished_at is null)
$function$;
comment on function app.next_erasure() is 'The job whose next batch has waited longest; null where none is due. And how many are not finished.';
revoke all on function app.next_erasure() from public;
grant execute on function app.next_erasure() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.next_organization_approval_seq(p_organization_id uuid)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  seq integer;
begin
  if p_organization_id is not null then
    insert into app.organization_approval_sequences as s (organization_id, last_seq) values (p_organization_id, 1)
    on conflict (organization_id) do update set last_seq = s.last_seq + 1
    returning s.last_seq into seq;
  end if;
  return seq;
end
$function$;
comment on function app.next_organization_approval_seq(uuid) is 'The same for an organization''s; null for none. Taken after the requester''s.';
revoke all on function app.next_organization_approval_seq(uuid) from public;

CREATE OR REPLACE FUNCTION app.note_erasure_failure(p_id uuid, p_error text, p_retry_after_ms integer)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update app.erasures e
  set
    failure_count = e.failure_count + 1,
    last_error = left(p_error, 500),
    due_at = now() + p_retry_after_ms * interval '1 ms'
  where e.id = p_id and e.finished_at is null
$function$;
comment on function app.note_erasure_failure(uuid, text, integer) is 'Notes why a batch failed, and when to try again.';
revoke all on function app.note_erasure_failure(uuid, text, integer) from public;
grant execute on function app.note_erasure_failure(uuid, text, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.open_task_secrets(OUT user_id uuid, OUT keys jsonb, OUT connectors jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  lease record;
begin
  select * into lease from app.live_lease(current_setting('app.credential', true));
  -- Held to the end, so that the lease does not change hands while this waits for a key.
  perform from app.tasks t
  where t.user_id = lease.user_id and t.id = lease.task_id and t.lease_id = lease.lease_id
  for share;
  if not found then
    raise exception 'lease_lost' using errcode = 'RH409';
  end if;
  if exists (
    select from app.task_leases l
    join app.api_tokens t on t.user_id = l.user_id and t.id = l.api_token_id
    where l.user_id = lease.user_id and l.id = lease.lease_id and 'keys:reveal' <> all (t.scopes)
  ) then
    raise exception 'missing_scope' using errcode = 'RH403';
  end if;
  user_id := lease.user_id;
  with locked as (
    -- In one order, for tasks of the same user that use the same keys.
    select p.provider from app.provider_keys p
    join app.task_keys k on k.user_id = p.user_id and k.provider = p.provider
    where k.user_id = lease.user_id and k.task_id = lease.task_id
    order by p.provider
    for update of p
  ),
  used as (
    -- By provider: a key that was set anew meanwhile has another id.
    update app.provider_keys p set last_used_at = now()
    where p.user_id = lease.user_id and p.provider in (select l.provider from locked l)
    returning p.id, p.provider, p.value
  )
  select coalesce(
    jsonb_agg(jsonb_build_object('provider', k.provider, 'id', used.id, 'value', used.value) order by k.provider), '[]'
  )
  into keys
  from app.task_keys k
  left join used on used.provider = k.provider
  where k.user_id = lease.user_id and k.task_id = lease.task_id;
  select coalesce(
    jsonb_agg(
      jsonb_build_object(
        'id', c.id, 'name', c.name, 'kind', c.kind, 'command', c.command, 'args', c.args, 'url', c.url, 'env', c.env,
        'headers', c.headers, 'oauthClientId', c.oauth_client_id, 'oauthClientSecret', c.oauth_client_secret
      )
      order by c.id
    ),
    '[]'
  )
  into connectors
  from app.task_connectors t
  join app.connectors c on c.user_id = t.user_id and c.id = t.connector_id
  where t.user_id = lease.user_id and t.task_id = lease.task_id;
end
$function$;
comment on function app.open_task_secrets() is 'What the task of this transaction''s lease may use, sealed, and notes the use. Raises RH409 lease_lost, and RH403 missing_scope where who claimed the task may not read keys.';
revoke all on function app.open_task_secrets() from public;
grant execute on function app.open_task_secrets() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.own_organizations(p_id uuid DEFAULT NULL::uuid)
 RETURNS SETOF app.own_organization
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return query
    select o.id, o.name, o.slug, o.logo, m.role, o.require_two_factor, o.allow_self_approval, o.created_at
    from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.user_id = app.current_session_user_id() and (p_id is null or o.id = p_id)
    order by o.id desc;
end
$function$;
comment on function app.own_organizations(uuid) is 'The organizations to which the caller, signed in with a session, belongs, newest first; or the one of this id.';
revoke all on function app.own_organizations(uuid) from public;
grant execute on function app.own_organizations(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.pending_parent_ids(p_parent text)
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case p_parent
    when 'app.media_items' then array(
      select m.id from app.erasures e
      join app.media_items m on m.user_id = (e.key ->> 'user_id')::uuid and m.id = (e.key ->> 'id')::uuid
      where e.finished_at is null and e.parent = 'app.media_items' and m.deleted_at is not null
    )
    when 'auth.organizations' then array(
      select o.id from app.erasures e
      join auth.organizations o on o.id = (e.key ->> 'id')::uuid
      where e.finished_at is null and e.parent = 'auth.organizations' and o.deleted_at is not null
    )
  end;
end
$function$;
comment on function app.pending_parent_ids(text) is 'Removed media items, or organizations, whose content does not all follow them yet: it is gone for readers all the same.';
revoke all on function app.pending_parent_ids(text) from public;
grant execute on function app.pending_parent_ids(text) to rowhouse_api;
grant execute on function app.pending_parent_ids(text) to rowhouse_public;

CREATE OR REPLACE FUNCTION app.process_webhook_event(p_user uuid, p_id uuid, p_attempt integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  event app.webhook_events;
begin
  perform from app.connections c
  join app.webhook_events e on e.user_id = c.user_id and e.connection_id = c.id
  where e.user_id = p_user and e.id = p_id and e.effect is not null
  for no key update of c;
  select * into event from app.webhook_events e
  where e.user_id = p_user and e.id = p_id and e.status = 'processing' and e.attempts = p_attempt
  for update;
  if not found then
    return false;
  end if;
  -- A consent that is given after the event is not the one that it tells of.
  if event.effect = 'revoke' then
    update app.connections c
    set status = 'revoked', access_token = null, refresh_token = null, token_version = c.token_version + 1
    where c.user_id = event.user_id and c.id = event.connection_id
      and c.status <> 'revoked' and c.connected_at <= event.created_at;
  elsif event.effect in ('suspend', 'unsuspend') then
    update app.connections c
    set settings = jsonb_set(c.settings, '{isSuspended}', to_jsonb(event.effect = 'suspend'))
    where c.user_id = event.user_id and c.id = event.connection_id and c.connected_at <= event.created_at
      -- One that comes late, after a failure, does not undo what came after it.
      and not exists (
        select from app.webhook_events later
        where later.user_id = event.user_id and later.connection_id = event.connection_id
          and later.effect in ('suspend', 'unsuspend') and later.status = 'processed' and later.id > event.id
      );
  end if;
  update app.webhook_events e
  set status = 'processed', processed_at = now(), next_attempt_at = null, last_error = null
  where e.user_id = event.user_id and e.id = event.id;
  return true;
end
$function$;
comment on function app.process_webhook_event(uuid, uuid, integer) is 'Makes an event''s effect on its connection and calls it processed, if it is still at this attempt.';
revoke all on function app.process_webhook_event(uuid, uuid, integer) from public;
grant execute on function app.process_webhook_event(uuid, uuid, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.published_content(p_slug text, p_search text, p_type text, p_tags text[], p_creator_id uuid, p_organization_slug text, p_after text, p_after_id uuid, p_limit integer)
 RETURNS TABLE(id uuid, title text, slug text, description text, body text, content_type text, published_at timestamp with time zone, tags text[], updated_at timestamp with time zone, "position" text, creator_id uuid, creator_name text, creator_image text, organization_id uuid, organization_name text, organization_slug text, organization_logo text, media_item_id uuid, media_title text, media_type text, media_mime_type text, media_duration_seconds double precision, media_width integer, media_height integer, media_file_name text, media_storage_key text, media_thumbnail_key text)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  conditions text := '';
  sort text := 'c.published_at';
  -- In microseconds, as exact as the column is.
  place text := '(extract(epoch from c.published_at) * 1000000)::bigint::text';
  after text := $sql$timestamptz 'epoch' + $7::bigint * interval '1 microsecond'$sql$;
  source text := 'app.content c';
  -- Nearly always none.
  removed uuid[] := app.removed_user_ids();
  hidden_media uuid[] := app.pending_parent_ids('app.media_items');
  hidden_organizations uuid[] := app.pending_parent_ids('auth.organizations');
begin
  -- The pieces are this function's own; what the caller gives travels in parameters.
  if p_slug is not null then
    conditions := conditions || ' and c.slug = $1';
  end if;
  if p_type is not null then
    conditions := conditions || ' and c.content_type = $3';
  end if;
  if cardinality(p_tags) > 0 then
    conditions := conditions || ' and c.tags @> $4';
  end if;
  if p_creator_id is not null then
    conditions := conditions || ' and c.user_id = $5';
  end if;
  if p_organization_slug is not null then
    conditions := conditions ||
      ' and c.organization_id = (select o.id from auth.organizations o where o.slug = $6 and o.deleted_at is null)';
  elsif p_creator_id is not null then
    -- A creator's page shows what is theirs, and nothing of an organization's.
    conditions := conditions || ' and c.organization_id is null';
  end if;
  if cardinality(removed) > 0 then
    conditions := conditions || ' and c.user_id <> all ($10)';
  end if;
  if cardinality(hidden_media) > 0 then
    conditions := conditions || ' and (c.media_item_id is null or c.media_item_id <> all ($11))';
  end if;
  if cardinality(hidden_organizations) > 0 then
    conditions := conditions || ' and (c.organization_id is null or c.organization_id <> all ($12))';
  end if;
  if p_search is not null then
    -- The rank of a word that is everywhere is not worth reading everything for.
    source := format(
      '(select c.*, ts_rank(c.search, q) as rank from app.content c, app.search_query($2) q
        where c.search @@ q and c.status = ''published'' and c.deleted_at is null %s limit 10000) c',
      conditions
    );
    conditions := '';
    sort := 'c.rank';
    place := 'c.rank::text';
    after := '$7::real';
  end if;
  if p_after_id is not null then
    conditions := conditions || format(' and (%s, c.id) < (%s, $8)', sort, after);
  end if;
  return query execute format(
    'select
       p.id, p.title, p.slug, p.description, case when $1 is not null then p.body end, p.content_type, p.published_at,
       p.tags, p.updated_at, p.place,
       u.id, u.name, u.image, o.id, o.name, o.slug, o.logo,
       m.id, m.title, m.media_type, m.mime_type, m.duration_seconds, m.width, m.height,
       m.file_name, m.storage_key, m.thumbnail_key
     from (
       select c.*, %1$s as place, %2$s as sort from %3$s
       where c.status = ''published'' and c.deleted_at is null %4$s
       order by %2$s desc, c.id desc
       limit $9
     ) p
     join auth.users u on u.id = p.user_id
     left join auth.organizations o on o.id = p.organization_id
     left join app.media_items m on m.user_id = p.user_id and m.id = p.media_item_id
     order by p.sort desc, p.id desc',
    place, sort, source, conditions
  )
  using p_slug, p_search, p_type, p_tags, p_creator_id, p_organization_slug, p_after, p_after_id, least(p_limit, 101),
    removed, hidden_media, hidden_organizations;
end
$function$;
comment on function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer) is 'Published content with its creator, organization and media item, newest or, in a search, best match first. Only what is asked for by slug comes with its body.';
revoke all on function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer) from public;
grant execute on function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer) to rowhouse_public;

CREATE OR REPLACE FUNCTION app.receive_webhook(p_provider text, p_delivery_id text, p_body_hash bytea, p_event_type text, p_external_ids text[], p_effect text, p_headers jsonb, p_payload jsonb, OUT is_new boolean, OUT event_count integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  stored uuid;
begin
  event_count := 0;
  -- Waits for whoever stores another copy at this moment.
  insert into app.webhook_deliveries (provider, delivery_id, body_hash, event_type, headers, payload)
  values (p_provider, p_delivery_id, p_body_hash, p_event_type, p_headers, p_payload)
  on conflict do nothing
  returning id into stored;
  is_new := stored is not null;
  if not is_new then
    return;
  end if;
  with connected as (
    -- Locked, so that none is removed between being found and getting its event.
    select c.user_id, c.id from app.connections c
    where c.provider = p_provider and c.external_id = any (p_external_ids) and c.status = 'active'
      and not exists (select from auth.users u where u.id = c.user_id and u.removed_at is not null)
    for key share
  )
  insert into app.webhook_events (user_id, connection_id, delivery_id, provider, event_type, payload, effect)
  select connected.user_id, connected.id, stored, p_provider, p_event_type, p_payload, p_effect
  from connected;
  get diagnostics event_count = row_count;
end
$function$;
comment on function app.receive_webhook(text, text, bytea, text, text[], text, jsonb, jsonb) is 'Stores a verified delivery and an event for each active connection that it names; a copy of one that is stored does nothing.';
revoke all on function app.receive_webhook(text, text, bytea, text, text[], text, jsonb, jsonb) from public;
grant execute on function app.receive_webhook(text, text, bytea, text, text[], text, jsonb, jsonb) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.refuse(p_reason text, p_sentence text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception using errcode = 'RH001', message = p_reason, detail = p_sentence;
end
$function$;
comment on function app.refuse(text, text) is 'Raises an expected failure.';
revoke all on function app.refuse(text, text) from public;

CREATE OR REPLACE FUNCTION app.remove_account()
 RETURNS uuid[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_session_user_id();
begin
  if caller is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;
  return app.close_account(caller);
end
$function$;
comment on function app.remove_account() is 'Removes the caller, as app.close_account does. Their rows are deleted in batches.';
revoke all on function app.remove_account() from public;
grant execute on function app.remove_account() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.remove_member(p_id uuid, p_user_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  role text := app.lock_organization(p_id);
  target record;
begin
  if role is null then
    return false;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may remove members');
  end if;
  select m.id, m.role into target from auth.members m where m.organization_id = p_id and m.user_id = p_user_id;
  if not found then
    return false;
  end if;
  if role <> 'owner' and target.role = 'owner' then
    perform app.refuse('role_too_low', 'only owners may remove owners');
  end if;
  delete from auth.members m where m.id = target.id;
  return true;
end
$function$;
comment on function app.remove_member(uuid, uuid) is 'Ends somebody''s membership; false where there is none. Raises members_last_owner_check.';
revoke all on function app.remove_member(uuid, uuid) from public;
grant execute on function app.remove_member(uuid, uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.remove_organization(p_id uuid, OUT id uuid, OUT deleted_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  role text := app.lock_organization(p_id);
  deletion uuid := app.new_id();
begin
  if role is null then
    return;
  end if;
  if role <> 'owner' then
    perform app.refuse('role_too_low', 'only owners may remove an organization');
  end if;
  update auth.organizations o set deleted_at = now(), deletion_id = deletion
  where o.id = p_id
  returning o.id, o.deleted_at into id, deleted_at;
  perform app.mark_with_organization(p_id, deletion);
end
$function$;
comment on function app.remove_organization(uuid) is 'Hides an organization from everyone and marks what is bound to it. Nulls where it is not the caller''s.';
revoke all on function app.remove_organization(uuid) from public;
grant execute on function app.remove_organization(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.removed_user_ids()
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return array(select u.id from auth.users u where u.removed_at is not null);
end
$function$;
comment on function app.removed_user_ids() is 'The users who are removed and whose rows are not all deleted yet. For policies that show rows of others.';
revoke all on function app.removed_user_ids() from public;
grant execute on function app.removed_user_ids() to rowhouse_api;
grant execute on function app.removed_user_ids() to rowhouse_public;

CREATE OR REPLACE FUNCTION app.require_membership()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.require_membership() is 'Refuses a row that names an organization to which its owner does not belong, as a foreign key would.';
revoke all on function app.require_membership() from public;

CREATE OR REPLACE FUNCTION app.require_pending(p_status text, p_expires_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_status <> 'pending' then
    perform app.refuse(
      'illegal_transition',
      'the invitation is already ' || case p_status when 'rejected' then 'declined' when 'canceled' then 'cancelled' else p_status end
    );
  end if;
  if p_expires_at <= now() then
    perform app.refuse('illegal_transition', 'the invitation has expired');
  end if;
end
$function$;
comment on function app.require_pending(text, timestamp with time zone) is 'Refuses an invitation that was answered, was taken back or has expired.';
revoke all on function app.require_pending(text, timestamp with time zone) from public;

CREATE OR REPLACE FUNCTION app.require_second_factor(p_user_id uuid, p_organization_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if app.lacks_second_factor(p_user_id, p_organization_id) then
    perform app.refuse(
      'two_factor_required',
      'this organization requires two-factor sign-in: switch it on for your account, then try again'
    );
  end if;
end
$function$;
comment on function app.require_second_factor(uuid, uuid) is 'Refuses whoever has no second factor what an organization that requires one gives its members.';
revoke all on function app.require_second_factor(uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.restore_organization(p_id uuid, p_slug text)
 RETURNS SETOF app.own_organization
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_session_user_id();
  removed record;
begin
  -- To all but its owners it is gone.
  if not exists (
    select from auth.members m where m.organization_id = p_id and m.user_id = caller and m.role = 'owner'
  ) then
    return;
  end if;
  select o.deleted_at, o.deletion_id into removed
  from auth.organizations o
  where o.id = p_id and (o.deleted_at is null or o.deleted_at > now() - interval '30 days')
  for update;
  if not found then
    return;
  end if;
  if removed.deleted_at is null then
    perform app.refuse('illegal_transition', 'the organization is not removed');
  end if;
  update auth.organizations o set deleted_at = null, deletion_id = null, slug = coalesce(p_slug, o.slug)
  where o.id = p_id;
  perform app.unmark_with_organization(p_id, removed.deletion_id);
  return query select * from app.own_organizations(p_id);
end
$function$;
comment on function app.restore_organization(uuid, text) is 'Brings an organization back that an owner removed within the last 30 days, perhaps under another slug: its own may be taken.';
revoke all on function app.restore_organization(uuid, text) from public;
grant execute on function app.restore_organization(uuid, text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.revoke_other_sessions()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  revoked integer;
begin
  delete from auth.sessions s
  where s.user_id = app.current_session_user_id()
    and s.token <> encode(app.credential_digest(current_setting('app.credential', true)), 'hex');
  get diagnostics revoked = row_count;
  return revoked;
end
$function$;
comment on function app.revoke_other_sessions() is 'Ends every session of the caller but the one that asks; returns how many.';
revoke all on function app.revoke_other_sessions() from public;
grant execute on function app.revoke_other_sessions() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.revoke_session(p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from auth.sessions s where s.id = p_id and s.user_id = app.current_session_user_id();
  return found;
end
$function$;
comment on function app.revoke_session(uuid) is 'Ends one session of the caller; false where they have no such session.';
revoke all on function app.revoke_session(uuid) from public;
grant execute on function app.revoke_session(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.search_query(value text)
 RETURNS tsquery
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
 WITH terms AS (
          SELECT t.n,
             (t.n = max(t.n) OVER ()) AS is_last,
             COALESCE(t.term[1], ''::text) AS minus,
             (t.term[2] IS NOT NULL) AS is_closed,
             (NOT (lower(t.term[4]) IS DISTINCT FROM 'or'::text)) AS is_or,
             app.search_words(COALESCE(t.term[2], t.term[3], t.term[4])) AS words
            FROM regexp_matches(search_query.value, '(?:(?<=^|\s)(-))?(?:"([^"]*)"|"([^"]*)$|([^\s"]+))'::text, 'g'::text) WITH ORDINALITY t(term, n)
           WHERE (app.search_words(COALESCE(t.term[2], t.term[3], t.term[4])) <> ''::text)
         )
  SELECT COALESCE((((websearch_to_tsquery('simple'::regconfig, string_agg(
         CASE
             WHEN (terms.is_or AND (NOT terms.is_last)) THEN 'or'::text
             ELSE format('%s"%s"'::text, terms.minus, terms.words)
         END, ' '::text ORDER BY terms.n)))::text ||
         CASE
             WHEN bool_or((terms.is_last AND (terms.minus = ''::text) AND (NOT terms.is_closed))) THEN ':*'::text
             ELSE ''::text
         END))::tsquery, ''::tsquery) AS "coalesce"
    FROM terms;
END;
comment on function app.search_query(text) is 'Reads a search in web search syntax; its last word, unless quoted or excluded, matches by prefix. Empty where it has no words.';
revoke all on function app.search_query(text) from public;
grant execute on function app.search_query(text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.search_vector(value text)
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple'::regconfig, app.search_words(value));
comment on function app.search_vector(text) is 'What the column search of a text holds.';
revoke all on function app.search_vector(text) from public;
grant execute on function app.search_vector(text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.search_words(value text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN btrim(regexp_replace(lower(value), '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7\u2000-\u206F\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\uFE00-\uFE6F\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFFF\U0001F000-\U0001FAFF]+'::text, ' '::text, 'g'::text));
comment on function app.search_words(text) is 'The words of a text in lower case, with one space between two. Signs are named by code point: no locale decides.';
revoke all on function app.search_words(text) from public;
grant execute on function app.search_words(text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.set_active_organization(p_id uuid)
 RETURNS SETOF app.own_organization
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_id is null then
    perform app.activate_organization(null);
    return;
  end if;
  return query select * from app.own_organizations(p_id);
  if found then
    perform app.activate_organization(p_id);
  end if;
end
$function$;
comment on function app.set_active_organization(uuid) is 'Chooses the organization in which the caller''s session acts where a call names none; null for none.';
revoke all on function app.set_active_organization(uuid) from public;
grant execute on function app.set_active_organization(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.set_default_ai_provider(p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  -- All of them, so that those who choose at once take turns, and each sees what the one before chose.
  perform from app.ai_provider_configs c
  where c.organization_id = app.current_organization_id()
  order by c.id
  for no key update;
  update app.ai_provider_configs c set is_default = false
  where c.organization_id = app.current_organization_id() and c.is_default and c.id <> p_id
    and exists (select from app.ai_provider_configs other where other.organization_id = c.organization_id and other.id = p_id);
  update app.ai_provider_configs c set is_default = true
  where c.organization_id = app.current_organization_id() and c.id = p_id;
  return found;
end
$function$;
comment on function app.set_default_ai_provider(uuid) is 'Makes one of the current organization''s providers its default, instead of the one that was; false where there is no such provider.';
revoke all on function app.set_default_ai_provider(uuid) from public;
grant execute on function app.set_default_ai_provider(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.shared_media(p_user_id uuid, p_media_item_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select jsonb_build_object(
      'id', m.id, 'title', m.title, 'mediaType', m.media_type, 'mimeType', m.mime_type, 'status', m.status,
      'durationSeconds', m.duration_seconds, 'width', m.width, 'height', m.height
    )
    from app.media_items m
    where m.user_id = p_user_id and m.id = p_media_item_id
      and not exists (select from auth.users u where u.id = m.user_id and u.removed_at is not null)
      and exists (
        select from app.content c
        where c.user_id = p_user_id and c.media_item_id = p_media_item_id and c.deleted_at is null
          and c.organization_id = any ((select app.member_organization_ids())::uuid[])
      )
  );
end
$function$;
comment on function app.shared_media(uuid, uuid) is 'What members of an organization may know of the media item that a fellow member''s content in it stands on.';
revoke all on function app.shared_media(uuid, uuid) from public;
grant execute on function app.shared_media(uuid, uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.sign_in(p_credential text, p_organization uuid, p_scope text, p_is_read_only boolean, p_timeout_ms integer)
 RETURNS app.caller
 LANGUAGE plpgsql
AS $function$
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
$function$;
comment on function app.sign_in(text, uuid, text, boolean, integer) is 'Rides in front of every statement: authenticates its caller and sets, for this transaction only, all that policies read.';
revoke all on function app.sign_in(text, uuid, text, boolean, integer) from public;
grant execute on function app.sign_in(text, uuid, text, boolean, integer) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.slow_references()
 RETURNS TABLE(child regclass, columns text[], parent regclass, parent_columns text[], cleared text[])
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  values
    (
      'app.api_tokens'::regclass, '{organization_id,user_id}'::text[],
      'auth.members'::regclass, '{organization_id,user_id}'::text[], null::text[]
    ),
    ('app.connections', '{organization_id,user_id}', 'auth.members', '{organization_id,user_id}', '{organization_id}'),
    ('app.content', '{organization_id,user_id}', 'auth.members', '{organization_id,user_id}', '{organization_id}'),
    ('app.tasks', '{organization_id,user_id}', 'auth.members', '{organization_id,user_id}', '{organization_id}'),
    ('app.webhook_events', '{user_id,connection_id}', 'app.connections', '{user_id,id}', null)
$function$;
comment on function app.slow_references() is 'References that no foreign key holds, since their children are deleted, or have columns set to null, in batches.';
revoke all on function app.slow_references() from public;

CREATE OR REPLACE FUNCTION app.start_tool_call()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if exists (select from app.tools t where t.slug = lower(new.tool) and t.requires_approval) then
    new.status := 'awaiting_approval';
    new.started_at := null;
  else
    new.status := 'running';
    new.started_at := now();
  end if;
  return new;
end
$function$;
comment on function app.start_tool_call() is 'Lets a new call run, or wait for approval where the catalogue says so.';
revoke all on function app.start_tool_call() from public;

CREATE OR REPLACE FUNCTION app.store_connection(p_credential text, p_id uuid, p_provider text, p_before text, p_external_id text, p_name text, p_icon text, p_scopes text[], p_bot_id text, p_settings jsonb, p_access_token text, p_refresh_token text, p_expires_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := (app.authenticate(p_credential, null, 'session')).user_id;
begin
  if p_before is null then
    insert into app.connections (
      user_id, id, provider, external_id, name, icon, scopes, bot_id, settings, access_token, refresh_token, expires_at
    )
    values (
      caller, p_id, p_provider, p_external_id, p_name, p_icon, p_scopes, p_bot_id, p_settings,
      p_access_token, p_refresh_token, p_expires_at
    );
    return true;
  end if;
  update app.connections c
  set
    external_id = p_external_id, name = p_name, icon = p_icon, scopes = p_scopes, bot_id = p_bot_id,
    settings = case when p_before = p_external_id then c.settings || p_settings else p_settings end,
    access_token = p_access_token, refresh_token = p_refresh_token, expires_at = p_expires_at,
    status = 'active', token_version = c.token_version + 1, refresh_claim = null, refresh_claimed_until = null,
    connected_at = now()
  where c.user_id = caller and c.id = p_id and c.provider = p_provider and c.external_id = p_before;
  return found;
end
$function$;
comment on function app.store_connection(text, uuid, text, text, text, text, text, text[], text, jsonb, text, text, timestamp with time zone) is 'Keeps what the consent of this session''s user led to: anew, or in place of what they had of the account p_before. False where that is gone.';
revoke all on function app.store_connection(text, uuid, text, text, text, text, text, text[], text, jsonb, text, text, timestamp with time zone) from public;
grant execute on function app.store_connection(text, uuid, text, text, text, text, text, text[], text, jsonb, text, text, timestamp with time zone) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.store_refreshed_tokens(p_user uuid, p_id uuid, p_claim uuid, p_access_token text, p_refresh_token text, p_expires_at timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update app.connections c
  set
    access_token = p_access_token, refresh_token = p_refresh_token, expires_at = p_expires_at, status = 'active',
    token_version = c.token_version + 1, refresh_claim = null, refresh_claimed_until = null
  where c.user_id = p_user and c.id = p_id and c.refresh_claim = p_claim and c.status <> 'revoked'
  returning c.token_version
$function$;
comment on function app.store_refreshed_tokens(uuid, uuid, uuid, text, text, timestamp with time zone) is 'Stores what a refresh led to for whoever claimed it, and returns the version; null once the claim is another''s, or the tokens are.';
revoke all on function app.store_refreshed_tokens(uuid, uuid, uuid, text, text, timestamp with time zone) from public;
grant execute on function app.store_refreshed_tokens(uuid, uuid, uuid, text, text, timestamp with time zone) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_erasures()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  swept integer;
begin
  delete from app.erasures e
  where e.id in (
    select old.id from app.erasures old
    where old.finished_at < now() - interval '30 days'
    order by old.finished_at
    limit 1000
    for update skip locked
  );
  get diagnostics swept = row_count;
  return swept;
end
$function$;
comment on function app.sweep_erasures() is 'Deletes jobs that were finished more than thirty days ago, at most a thousand, and returns how many.';
revoke all on function app.sweep_erasures() from public;
grant execute on function app.sweep_erasures() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_held_places()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  swept integer;
begin
  delete from app.held_places p where p.expires_at < now() - interval '1 minute';
  get diagnostics swept = row_count;
  return swept;
end
$function$;
comment on function app.sweep_held_places() is 'Removes what ended processes held and returns how many rows that were.';
revoke all on function app.sweep_held_places() from public;
grant execute on function app.sweep_held_places() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_leases()
 RETURNS TABLE(user_id uuid, task_id uuid)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  return query
    with overdue as (
      select t.user_id, t.id from app.tasks t
      where t.deleted_at is null
        and t.status = 'processing'
        and app.task_deadline(t.started_at, t.options) <= now()
        and not exists (select from auth.users u where u.id = t.user_id and u.removed_at is not null)
      limit 200
      for update skip locked
    )
    update app.tasks t
    set status = 'error', error = 'the task exceeded its maximum duration', completed_at = now()
    from overdue
    where t.user_id = overdue.user_id and t.id = overdue.id
    returning t.user_id, t.id;
  return query
    with lapsed as (
      -- The task first, as everyone does who needs both.
      select l.user_id, l.id from app.task_leases l
      join app.tasks t on t.user_id = l.user_id and t.id = l.task_id
      where l.ended_at is null and l.expires_at <= now()
        and not exists (select from auth.users u where u.id = l.user_id and u.removed_at is not null)
      limit 200
      for update of t skip locked
    )
    update app.task_leases l set ended_at = l.expires_at
    from lapsed
    where l.user_id = lapsed.user_id and l.id = lapsed.id and l.ended_at is null and l.expires_at <= now()
    returning l.user_id, l.task_id;
end
$function$;
comment on function app.sweep_leases() is 'Ends leases that have lapsed and tasks past their maximum duration, and returns the tasks concerned.';
revoke all on function app.sweep_leases() from public;
grant execute on function app.sweep_leases() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_media()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  swept integer;
begin
  update app.media_items m
  set
    status = 'failed',
    error = case m.status
      when 'uploading' then 'the upload was not completed within a day'
      else 'whoever processed the file did not come to an end'
    end
  from (
    select stale.user_id, stale.id from app.media_items stale
    where stale.status in ('uploading', 'uploaded', 'processing')
      and stale.updated_at < now() - interval '1 hour'
      and (stale.status <> 'uploading' or stale.created_at < now() - interval '1 day')
    order by stale.updated_at
    limit 1000
    for update skip locked
  ) stale
  where m.user_id = stale.user_id and m.id = stale.id;
  get diagnostics swept = row_count;
  return swept;
end
$function$;
comment on function app.sweep_media() is 'Fails uploads that nobody completed and items that nobody processes any more, at most a thousand, and returns how many.';
revoke all on function app.sweep_media() from public;
grant execute on function app.sweep_media() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_oauth_states()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  swept integer;
begin
  delete from app.oauth_states s
  where (s.user_id, s.id) in (
    select old.user_id, old.id from app.oauth_states old
    where old.expires_at < now() - interval '1 hour'
    order by old.expires_at
    limit 1000
    for update skip locked
  );
  get diagnostics swept = row_count;
  return swept;
end
$function$;
comment on function app.sweep_oauth_states() is 'Removes states that nobody came back with, at most a thousand, and returns how many.';
revoke all on function app.sweep_oauth_states() from public;
grant execute on function app.sweep_oauth_states() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_rate_limits()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  swept integer;
begin
  delete from app.rate_limits r
  where r.key in (
    select old.key from app.rate_limits old
    where old.expires_at < now() - interval '1 hour'
    order by old.expires_at
    limit 1000
    for update skip locked
  );
  get diagnostics swept = row_count;
  return swept;
end
$function$;
comment on function app.sweep_rate_limits() is 'Removes counters whose window is long over and returns how many.';
revoke all on function app.sweep_rate_limits() from public;
grant execute on function app.sweep_rate_limits() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_sign_ins()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.sweep_sign_ins() is 'Removes sessions, trusted devices and verifications that expired more than a day ago, at most a thousand of each, and returns how many.';
revoke all on function app.sweep_sign_ins() from public;
grant execute on function app.sweep_sign_ins() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.sweep_webhooks()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  due uuid[];
  events integer;
  swept integer;
begin
  due := array(
    select old.id from app.webhook_deliveries old
    where old.received_at < now() - interval '30 days'
      and not exists (
        select from app.webhook_events e
        where e.delivery_id = old.id and e.status in ('received', 'processing', 'failed')
      )
    order by old.received_at
    limit 1000
    for update skip locked
  );
  -- A delivery has as many events as its workspace has users here: they are counted, too.
  delete from app.webhook_events e
  where (e.user_id, e.id) in (
    select old.user_id, old.id from app.webhook_events old where old.delivery_id = any (due) limit 5000
  );
  get diagnostics events = row_count;
  delete from app.webhook_deliveries d
  where d.id = any (due) and not exists (select from app.webhook_events e where e.delivery_id = d.id);
  get diagnostics swept = row_count;
  swept := swept + events;
  return swept;
end
$function$;
comment on function app.sweep_webhooks() is 'Removes deliveries of more than thirty days ago with their events, at most a thousand at once, and returns how many.';
revoke all on function app.sweep_webhooks() from public;
grant execute on function app.sweep_webhooks() to rowhouse_system;

CREATE OR REPLACE FUNCTION app.take_oauth_state(p_state_hash bytea)
 RETURNS TABLE(user_id uuid, id uuid, provider text, code_verifier text, return_to text, is_expired boolean)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  delete from app.oauth_states s
  where s.state_hash = p_state_hash
    and s.user_id = app.current_session_user_id()
    and s.session_id = app.current_session_id()
  returning s.user_id, s.id, s.provider, s.code_verifier::text, s.return_to, s.expires_at <= now()
$function$;
comment on function app.take_oauth_state(bytea) is 'Takes a state away from the session that it was made under, and tells what it was for; nothing for anybody else.';
revoke all on function app.take_oauth_state(bytea) from public;
grant execute on function app.take_oauth_state(bytea) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.take_quota(p_kind text, p_operator_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  owner uuid := app.current_user_id();
  today date := (now() at time zone 'UTC')::date;
  allowed integer;
  used integer;
begin
  if owner is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;
  select least(p_operator_limit, min((s.value #>> '{}')::integer))
  into allowed
  from app.settings s
  where s.user_id = owner
    and s.key = case p_kind when 'tasks' then 'maxTasksPerDay' when 'messages' then 'maxMessagesPerDay' end
    and jsonb_typeof(s.value) = 'number';
  case p_kind
    when 'tasks' then
      insert into app.daily_usage as u (user_id, day, tasks) values (owner, today, 1)
      on conflict (user_id, day) do update set tasks = u.tasks + 1
      returning u.tasks into used;
    when 'messages' then
      insert into app.daily_usage as u (user_id, day, messages) values (owner, today, 1)
      on conflict (user_id, day) do update set messages = u.messages + 1
      returning u.messages into used;
  end case;
  if used > allowed then
    raise exception 'daily_quota' using
      errcode = 'RH429',
      detail = to_char((today + 1)::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
  end if;
  return used;
end
$function$;
comment on function app.take_quota(text, integer) is 'Counts one task or message of today and raises RH429 past the limit, which a user''s own setting can only lower.';
revoke all on function app.take_quota(text, integer) from public;
grant execute on function app.take_quota(text, integer) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.take_rate_limit(p_key text, p_limit integer, p_window_seconds integer, OUT is_allowed boolean, OUT retry_after_seconds integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  used integer;
  ends timestamptz;
begin
  insert into app.rate_limits as r (key, expires_at)
  values (p_key, now() + make_interval(secs => p_window_seconds))
  on conflict (key) do update set
    count = case when r.expires_at <= now() then 1 else r.count + 1 end,
    window_started_at = case when r.expires_at <= now() then now() else r.window_started_at end,
    expires_at = case when r.expires_at <= now() then excluded.expires_at else r.expires_at end
  returning r.count, r.expires_at into used, ends;
  is_allowed := used <= p_limit;
  retry_after_seconds := case when is_allowed then 0 else greatest(1, ceil(extract(epoch from ends - now()))::integer) end;
end
$function$;
comment on function app.take_rate_limit(text, integer, integer) is 'Counts one call under a key and tells whether it is within its limit; one window holds over all processes.';
revoke all on function app.take_rate_limit(text, integer, integer) from public;
grant execute on function app.take_rate_limit(text, integer, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.take_turn(p_key text, p_first_seconds integer, p_longest_seconds integer, OUT retry_after_seconds integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.take_turn(text, integer, integer) is 'Lets a key through once its wait is over, which nobody else can make longer, and doubles the wait for the next turn. Returns 0, or the seconds that are left.';
revoke all on function app.take_turn(text, integer, integer) from public;
grant execute on function app.take_turn(text, integer, integer) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.task_deadline(p_started_at timestamp with time zone, p_options jsonb)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(p_started_at + make_interval(secs => (p_options ->> 'maxDurationSeconds')::integer), 'infinity')
$function$;
comment on function app.task_deadline(timestamp with time zone, jsonb) is 'When a task must be over, counted from its first claim.';
revoke all on function app.task_deadline(timestamp with time zone, jsonb) from public;

CREATE OR REPLACE FUNCTION app.touch_credential()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.touch_credential() is 'Notes that the caller''s credential was used, at most once a minute, and prolongs a session that slides.';
revoke all on function app.touch_credential() from public;
grant execute on function app.touch_credential() to rowhouse_api;

CREATE OR REPLACE FUNCTION app.touch_updated_at()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_setting('app.keeps_updated_at', true) = 'on'
    and (select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = tg_relid) then
    return new;
  end if;
  new.updated_at := now();
  return new;
end
$function$;
comment on function app.touch_updated_at() is 'Keeps updated_at; one trigger a table. The owner leaves it as it is where app.keeps_updated_at is on.';
revoke all on function app.touch_updated_at() from public;

CREATE OR REPLACE FUNCTION app.unmark_with_organization(p_id uuid, p_deletion_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform app.follow('auth.organizations', jsonb_build_object('id', p_id), p_deletion_id);
end
$function$;
comment on function app.unmark_with_organization(uuid, uuid) is 'Brings back what went with an organization, and nothing else.';
revoke all on function app.unmark_with_organization(uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.unname_task_lease()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  new.lease_id := null;
  return new;
end
$function$;
comment on function app.unname_task_lease() is 'Takes the lease''s name off a task that is over, stopped or removed.';
revoke all on function app.unname_task_lease() from public;

CREATE OR REPLACE FUNCTION app.unpublish_content_on_org_delete()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  new.status := 'draft';
  new.published_at := null;
  return new;
end
$function$;
comment on function app.unpublish_content_on_org_delete() is 'Makes a draft of content that leaves its organization, so that an organization''s work never shows up on a creator''s page.';
revoke all on function app.unpublish_content_on_org_delete() from public;

CREATE OR REPLACE FUNCTION app.update_member_role(p_id uuid, p_user_id uuid, p_role text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  role text := app.lock_organization(p_id);
  target record;
begin
  if role is null then
    return false;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may change roles');
  end if;
  select m.id, m.role into target from auth.members m where m.organization_id = p_id and m.user_id = p_user_id;
  if not found then
    return false;
  end if;
  if role <> 'owner' and 'owner' in (target.role, p_role) then
    perform app.refuse('role_too_low', 'only owners may make or lower owners');
  end if;
  update auth.members m set role = p_role where m.id = target.id;
  return true;
end
$function$;
comment on function app.update_member_role(uuid, uuid, text) is 'Gives a member another role; false where there is no such member. Raises members_last_owner_check.';
revoke all on function app.update_member_role(uuid, uuid, text) from public;
grant execute on function app.update_member_role(uuid, uuid, text) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.update_organization(p_id uuid, p_changes jsonb)
 RETURNS SETOF app.own_organization
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  role text := app.lock_organization(p_id);
begin
  if role is null then
    return;
  end if;
  if role = 'member' then
    perform app.refuse('role_too_low', 'only owners and admins may change an organization');
  end if;
  if role <> 'owner' and p_changes ?| array['require_two_factor', 'allow_self_approval'] then
    perform app.refuse('role_too_low', 'only owners may change what an organization requires of its members');
  end if;
  if (p_changes ->> 'require_two_factor')::boolean and not exists (
    select from auth.users u where u.id = app.current_session_user_id() and u.two_factor_enabled
  ) then
    perform app.refuse('two_factor_required', 'switch two-factor sign-in on for your own account first');
  end if;
  update auth.organizations o
  set
    name = coalesce(p_changes ->> 'name', o.name),
    slug = coalesce(p_changes ->> 'slug', o.slug),
    logo = case when p_changes ? 'logo' then p_changes ->> 'logo' else o.logo end,
    require_two_factor = coalesce((p_changes ->> 'require_two_factor')::boolean, o.require_two_factor),
    allow_self_approval = coalesce((p_changes ->> 'allow_self_approval')::boolean, o.allow_self_approval)
  where o.id = p_id;
  return query select * from app.own_organizations(p_id);
end
$function$;
comment on function app.update_organization(uuid, jsonb) is 'Changes the columns that p_changes names: name, slug, logo, and by owners require_two_factor and allow_self_approval.';
revoke all on function app.update_organization(uuid, jsonb) from public;
grant execute on function app.update_organization(uuid, jsonb) to rowhouse_api;

CREATE OR REPLACE FUNCTION auth.ask_second_factor()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function auth.ask_second_factor() is 'Refuses a session without the second factor to a user who has one.';
revoke all on function auth.ask_second_factor() from public;

CREATE OR REPLACE FUNCTION auth.cancel_former_inviters_invitations()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update auth.invitations i set status = 'canceled'
  where i.organization_id = old.organization_id
    and i.inviter_id = old.user_id
    and i.status = 'pending'
    and (tg_op = 'DELETE' or new.role = 'member' or new.role = 'admin' and i.role = 'owner');
  return null;
end
$function$;
comment on function auth.cancel_former_inviters_invitations() is 'An invitation holds as long as its inviter could make it: nobody comes back, or in, by one of their own.';
revoke all on function auth.cancel_former_inviters_invitations() from public;

CREATE OR REPLACE FUNCTION auth.end_pending_proofs()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from auth.verifications v
  where v.user_id = case tg_table_name when 'users' then (to_jsonb(new) ->> 'id') else to_jsonb(new) ->> 'user_id' end::uuid;
  return null;
end
$function$;
comment on function auth.end_pending_proofs() is 'A new password or mail address ends every reset link and sign-in challenge of before.';
revoke all on function auth.end_pending_proofs() from public;

CREATE OR REPLACE FUNCTION auth.follow_two_factor()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function auth.follow_two_factor() is 'With the factor switched on, its secret counts and sessions without it end; switched off, secret, codes and trusted devices go.';
revoke all on function auth.follow_two_factor() from public;

CREATE OR REPLACE FUNCTION auth.forget_trusted_devices()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from auth.trusted_devices d where d.user_id = new.user_id;
  return null;
end
$function$;
comment on function auth.forget_trusted_devices() is 'A new password ends the trust in every device.';
revoke all on function auth.forget_trusted_devices() from public;

CREATE OR REPLACE FUNCTION auth.keep_last_owner()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
  -- Nobody is left behind: app.close_account has looked, under the lock of the organization.
  if tg_op = 'DELETE' and not exists (select from auth.users u where u.id = old.user_id and u.removed_at is null) then
    return old;
  end if;
  raise exception 'an organization keeps at least one owner'
    using errcode = 'check_violation', constraint = 'members_last_owner_check', table = 'members', schema = 'auth';
end
$function$;
comment on function auth.keep_last_owner() is 'Refuses to remove or lower the last owner of an organization.';
revoke all on function auth.keep_last_owner() from public;

CREATE OR REPLACE FUNCTION auth.set_session_slides()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  -- Better Auth gives a session that is not to be remembered one day, and every other one a week.
  new.slides := new.expires_at - new.created_at > interval '2 days';
  return new;
end
$function$;
comment on function auth.set_session_slides() is 'Tells a remembered session from one that ends after a day.';
revoke all on function auth.set_session_slides() from public;

-- app.agent_runs

create table app.agent_runs (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  task_id uuid,
  agent text not null,
  model text,
  provider text,
  status text default 'running'::text not null,
  input jsonb,
  output jsonb,
  usage jsonb,
  error text,
  started_at timestamp with time zone default now(),
  finished_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint agent_runs_pkey PRIMARY KEY (user_id, id),
  constraint agent_runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
);
comment on table app.agent_runs is 'One run of an agent: what it was given, what came out, what it cost.';

CREATE INDEX agent_runs_user_id_status_id_idx ON app.agent_runs USING btree (user_id, status, id DESC);

CREATE INDEX agent_runs_user_id_task_id_id_idx ON app.agent_runs USING btree (user_id, task_id, id DESC);

alter table app.agent_runs enable row level security;

create policy insert_lease on app.agent_runs
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id))));

create policy insert_owner on app.agent_runs
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.agent_runs
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (task_id = ( SELECT app.leased_task_id() AS leased_task_id))
    ELSE true
END));

create policy update_lease on app.agent_runs
  for update to rowhouse_api
  using (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id))))
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id))));

create policy update_owner on app.agent_runs
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER agent_runs_touch_updated_at BEFORE UPDATE ON app.agent_runs FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger agent_runs_touch_updated_at on app.agent_runs is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select,
  insert (task_id, agent, model, provider, input),
  update (status, output, usage, error, finished_at) on app.agent_runs to rowhouse_api;

-- app.ai_provider_configs

create table app.ai_provider_configs (
  organization_id uuid default app.current_organization_id() not null,
  id uuid default app.new_id() not null,
  name text not null,
  provider text not null,
  base_url text,
  model text not null,
  credentials app.envelope,
  hint text default ''::text not null,
  is_default boolean default false not null,
  limits jsonb default '{}'::jsonb not null,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint ai_provider_configs_pkey PRIMARY KEY (organization_id, id),
  constraint ai_provider_configs_organization_id_name_key UNIQUE (organization_id, name),
  constraint ai_provider_configs_limits_check CHECK ((jsonb_typeof(limits) = 'object'::text))
);
comment on table app.ai_provider_configs is 'An organization''s model providers, and how they are called.';
comment on column app.ai_provider_configs.hint is 'The last characters of the credentials.';
comment on column app.ai_provider_configs.deletion_id is 'Set while the organization is removed.';

CREATE UNIQUE INDEX ai_provider_configs_organization_id_default_key ON app.ai_provider_configs USING btree (organization_id) WHERE is_default;

alter table app.ai_provider_configs enable row level security;

create policy delete_admin on app.ai_provider_configs
  for delete to rowhouse_api
  using (((organization_id = ( SELECT app.current_organization_id() AS current_organization_id)) AND (( SELECT app.current_organization_role() AS current_organization_role) = ANY (ARRAY['owner'::text, 'admin'::text]))));

create policy insert_admin on app.ai_provider_configs
  for insert to rowhouse_api
  with check (((organization_id = ( SELECT app.current_organization_id() AS current_organization_id)) AND (( SELECT app.current_organization_role() AS current_organization_role) = ANY (ARRAY['owner'::text, 'admin'::text]))));

create policy select_member on app.ai_provider_configs
  for select to rowhouse_api
  using ((organization_id = ( SELECT app.current_organization_id() AS current_organization_id)));

create policy update_admin on app.ai_provider_configs
  for update to rowhouse_api
  using (((organization_id = ( SELECT app.current_organization_id() AS current_organization_id)) AND (( SELECT app.current_organization_role() AS current_organization_role) = ANY (ARRAY['owner'::text, 'admin'::text]))))
  with check (((organization_id = ( SELECT app.current_organization_id() AS current_organization_id)) AND (( SELECT app.current_organization_role() AS current_organization_role) = ANY (ARRAY['owner'::text, 'admin'::text]))));

CREATE TRIGGER ai_provider_configs_touch_updated_at BEFORE UPDATE ON app.ai_provider_configs FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger ai_provider_configs_touch_updated_at on app.ai_provider_configs is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  select,
  insert (id, name, provider, base_url, model, credentials, hint, limits),
  update (name, provider, base_url, model, credentials, hint, is_default, limits) on app.ai_provider_configs to rowhouse_api;

-- app.api_tokens

create table app.api_tokens (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  organization_id uuid,
  name text not null,
  prefix text not null,
  token_hash bytea not null,
  scopes text[] not null,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  replaced_by uuid,
  grace_until timestamp with time zone,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint api_tokens_pkey PRIMARY KEY (user_id, id),
  constraint api_tokens_token_hash_key UNIQUE (token_hash),
  constraint api_tokens_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
  constraint api_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
);
comment on table app.api_tokens is 'Credentials for programs: shown once, stored as a hash of a hash, with scopes of their own.';
comment on column app.api_tokens.grace_until is 'Set when the token was rotated: it is refused from then on.';
comment on column app.api_tokens.deletion_id is 'Set while the organization that the token is bound to is removed: it is refused until that is restored.';

CREATE INDEX api_tokens_organization_id_idx ON app.api_tokens USING btree (organization_id, user_id);

CREATE INDEX api_tokens_user_id_replaced_by_idx ON app.api_tokens USING btree (user_id, replaced_by);

alter table app.api_tokens enable row level security;

create policy insert_owner on app.api_tokens
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_session_user_id() AS current_session_user_id)));

create policy select_owner on app.api_tokens
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_session_user_id() AS current_session_user_id)));

create policy update_owner on app.api_tokens
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_session_user_id() AS current_session_user_id)))
  with check ((user_id = ( SELECT app.current_session_user_id() AS current_session_user_id)));

CREATE TRIGGER api_tokens_end_leases BEFORE DELETE ON app.api_tokens FOR EACH ROW EXECUTE FUNCTION app.end_credential_leases();
comment on trigger api_tokens_end_leases on app.api_tokens is 'Ends the leases that were claimed with an API token.

A worker may do no more than what it was started with.';

CREATE TRIGGER api_tokens_require_membership AFTER INSERT OR UPDATE OF organization_id ON app.api_tokens FOR EACH ROW WHEN ((new.organization_id IS NOT NULL)) EXECUTE FUNCTION app.require_membership();
comment on trigger api_tokens_require_membership on app.api_tokens is 'Refuses a row that names an organization to which its owner does not belong.

Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

CREATE TRIGGER api_tokens_touch_updated_at BEFORE UPDATE ON app.api_tokens FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger api_tokens_touch_updated_at on app.api_tokens is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant insert (organization_id, name, prefix, token_hash, scopes, expires_at),
  select (user_id, id, organization_id, name, prefix, scopes, expires_at, last_used_at, revoked_at, replaced_by, grace_until, deletion_id, created_at, updated_at),
  update (revoked_at, replaced_by, grace_until) on app.api_tokens to rowhouse_api;

-- app.approval_sequences

create table app.approval_sequences (
  user_id uuid not null,
  last_seq integer not null,
  constraint approval_sequences_pkey PRIMARY KEY (user_id)
);
comment on table app.approval_sequences is 'The last number given to a change of a user''s approvals.';

alter table app.approval_sequences enable row level security;

create policy select_owner on app.approval_sequences
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

grant select on app.approval_sequences to rowhouse_api;

-- app.approvals

create table app.approvals (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  organization_id uuid,
  task_id uuid,
  tool_call_id uuid,
  kind text not null,
  title text not null,
  payload jsonb not null,
  tool text,
  arguments jsonb,
  payload_hash bytea not null,
  priority smallint default 1 not null,
  requested_by text not null,
  status text default 'pending'::text not null,
  decided_by uuid,
  decided_at timestamp with time zone,
  note text,
  expires_at timestamp with time zone,
  event_seq integer not null,
  organization_event_seq integer,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint approvals_pkey PRIMARY KEY (user_id, id),
  constraint approvals_organization_id_organization_event_seq_key UNIQUE (organization_id, organization_event_seq),
  constraint approvals_user_id_event_seq_key UNIQUE (user_id, event_seq),
  constraint approvals_decided_at_check CHECK (((status = 'pending'::text) = (decided_at IS NULL))),
  constraint approvals_organization_event_seq_check CHECK (((organization_id IS NULL) = (organization_event_seq IS NULL))),
  constraint approvals_payload_hash_check CHECK ((octet_length(payload_hash) = 32)),
  constraint approvals_priority_check CHECK (((priority >= 0) AND (priority <= 3))),
  constraint approvals_requested_by_check CHECK ((requested_by = ANY (ARRAY['session'::text, 'token'::text, 'lease'::text]))),
  constraint approvals_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'approved'::text, 'rejected'::text, 'expired'::text, 'cancelled'::text]))),
  constraint approvals_tool_call_id_check CHECK ((((tool_call_id IS NULL) = (tool IS NULL)) AND ((tool_call_id IS NULL) = (arguments IS NULL))))
);
comment on table app.approvals is 'What somebody is asked to allow, and what they said. Written by functions only.';
comment on column app.approvals.tool is 'The tool of the call, as it was when approval was requested; with its arguments, what is approved.';
comment on column app.approvals.payload_hash is 'Of the tool call''s arguments, or of the payload where there is no call.';
comment on column app.approvals.requested_by is 'By which kind of credential of the requester''s.';
comment on column app.approvals.decided_at is 'When it stopped being pending, however that came.';
comment on column app.approvals.event_seq is 'The number of its last change in its requester''s sequence.';
comment on column app.approvals.organization_event_seq is 'The number of its last change in its organization''s sequence.';
comment on column app.approvals.deletion_id is 'Set while its task or its organization is removed.';

CREATE INDEX approvals_decided_by_idx ON app.approvals USING btree (decided_by);

CREATE INDEX approvals_expires_at_idx ON app.approvals USING btree (expires_at) WHERE (status = 'pending'::text);

CREATE INDEX approvals_organization_id_id_idx ON app.approvals USING btree (organization_id, id);

CREATE INDEX approvals_organization_id_priority_id_idx ON app.approvals USING btree (organization_id, priority DESC, id DESC);

CREATE INDEX approvals_user_id_priority_id_idx ON app.approvals USING btree (user_id, priority DESC, id DESC);

CREATE INDEX approvals_user_id_task_id_idx ON app.approvals USING btree (user_id, task_id);

CREATE INDEX approvals_user_id_tool_call_id_idx ON app.approvals USING btree (user_id, tool_call_id);

CREATE UNIQUE INDEX approvals_user_id_tool_call_id_pending_key ON app.approvals USING btree (user_id, tool_call_id) WHERE (status = 'pending'::text);

alter table app.approvals enable row level security;

create policy select_member on app.approvals
  for select to rowhouse_api
  using (((organization_id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[])) AND (user_id <> ALL (( SELECT app.removed_user_ids() AS removed_user_ids)::uuid[]))));

create policy select_owner on app.approvals
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (task_id = ( SELECT app.leased_task_id() AS leased_task_id))
    ELSE true
END));

CREATE TRIGGER approvals_touch_updated_at BEFORE UPDATE ON app.approvals FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger approvals_touch_updated_at on app.approvals is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select on app.approvals to rowhouse_api;

-- app.connections

create table app.connections (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  organization_id uuid,
  provider app.connection_provider not null,
  external_id text not null,
  name text not null,
  icon text,
  scopes text[] default '{}'::text[] not null,
  access_token app.envelope,
  refresh_token app.envelope,
  expires_at timestamp with time zone,
  bot_id text,
  settings jsonb default '{}'::jsonb not null,
  status text default 'active'::text not null,
  token_version integer default 0 not null,
  refresh_claim uuid,
  refresh_claimed_until timestamp with time zone,
  connected_at timestamp with time zone default now() not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint connections_pkey PRIMARY KEY (user_id, id),
  constraint connections_user_id_provider_external_id_key UNIQUE (user_id, provider, external_id),
  constraint connections_external_id_check CHECK (((length(external_id) >= 1) AND (length(external_id) <= 200))),
  constraint connections_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text)),
  constraint connections_status_check CHECK ((status = ANY (ARRAY['active'::text, 'revoked'::text, 'error'::text])))
);
comment on table app.connections is 'A user''s accounts elsewhere, with the tokens that act for them there.';
comment on column app.connections.external_id is 'The workspace, installation, team or organization as the provider names it; what its webhooks name.';
comment on column app.connections.access_token is 'Null once it is revoked.';
comment on column app.connections.token_version is 'Counts the tokens that were stored here; a sealed value changes with its key.';
comment on column app.connections.refresh_claim is 'Who may store the outcome of the refresh under way. New tokens end it.';
comment on column app.connections.connected_at is 'When its user last went through the provider''s consent.';

CREATE INDEX connections_organization_id_user_id_idx ON app.connections USING btree (organization_id, user_id);

CREATE INDEX connections_provider_external_id_idx ON app.connections USING btree (provider, external_id);

CREATE UNIQUE INDEX connections_user_id_notion_key ON app.connections USING btree (user_id) WHERE ((provider)::text = 'notion'::text);

alter table app.connections enable row level security;

create policy delete_owner on app.connections
  for delete to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.connections
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.connections
  for update to rowhouse_api
  using (((user_id = ( SELECT app.current_user_id() AS current_user_id)) AND (status <> 'revoked'::text)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER connections_follow_in_batches AFTER DELETE ON app.connections FOR EACH ROW EXECUTE FUNCTION app.follow_in_batches('user_id', 'id');
comment on trigger connections_follow_in_batches on app.connections is 'Deletes the webhook events of a removed connection.

A connection with years of events can be removed as fast as any other.';

CREATE TRIGGER connections_require_membership AFTER INSERT OR UPDATE OF organization_id ON app.connections FOR EACH ROW WHEN ((new.organization_id IS NOT NULL)) EXECUTE FUNCTION app.require_membership();
comment on trigger connections_require_membership on app.connections is 'Refuses a row that names an organization to which its owner does not belong.

Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

CREATE TRIGGER connections_touch_updated_at BEFORE UPDATE ON app.connections FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger connections_touch_updated_at on app.connections is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  select,
  update (access_token, refresh_token, settings, status, token_version, refresh_claim, refresh_claimed_until) on app.connections to rowhouse_api;

-- app.connectors

create table app.connectors (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  name text not null,
  kind text not null,
  command text,
  args text[] default '{}'::text[] not null,
  url text,
  env app.envelope,
  headers app.envelope,
  oauth_client_id app.envelope,
  oauth_client_secret app.envelope,
  status text default 'disconnected'::text not null,
  last_checked_at timestamp with time zone,
  last_error text,
  tools jsonb default '[]'::jsonb not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint connectors_pkey PRIMARY KEY (user_id, id),
  constraint connectors_kind_check CHECK ((kind = ANY (ARRAY['local'::text, 'remote'::text]))),
  constraint connectors_status_check CHECK ((status = ANY (ARRAY['connected'::text, 'disconnected'::text]))),
  constraint connectors_target_check CHECK (
CASE kind
    WHEN 'local'::text THEN ((command IS NOT NULL) AND (url IS NULL))
    WHEN 'remote'::text THEN ((url IS NOT NULL) AND (command IS NULL) AND (args = '{}'::text[]))
    ELSE NULL::boolean
END)
);
comment on table app.connectors is 'A user''s MCP servers: a command to run or an address to call.';
comment on column app.connectors.env is 'Variables for a command, as a sealed JSON object.';
comment on column app.connectors.headers is 'Headers for an address, as a sealed JSON object.';
comment on column app.connectors.tools is 'The tools that the server listed when it was last checked.';

alter table app.connectors enable row level security;

create policy delete_owner on app.connectors
  for delete to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy insert_owner on app.connectors
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.connectors
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.connectors
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER connectors_touch_updated_at BEFORE UPDATE ON app.connectors FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger connectors_touch_updated_at on app.connectors is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  select,
  insert (id, name, kind, command, args, url, env, headers, oauth_client_id, oauth_client_secret),
  update (name, command, args, url, env, headers, oauth_client_id, oauth_client_secret, status, last_checked_at, last_error, tools) on app.connectors to rowhouse_api;

-- app.content

create table app.content (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  organization_id uuid,
  media_item_id uuid,
  title text not null,
  slug text not null,
  description text,
  body text,
  content_type text not null,
  status text default 'draft'::text not null,
  published_at timestamp with time zone,
  tags text[] default '{}'::text[] not null,
  deleted_at timestamp with time zone,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  search tsvector generated always as (((setweight(app.search_vector(title), 'A'::"char") || setweight(app.search_vector(COALESCE(description, ''::text)), 'B'::"char")) || setweight(app.search_vector(COALESCE(body, ''::text)), 'C'::"char"))) stored not null,
  constraint content_pkey PRIMARY KEY (user_id, id),
  constraint content_content_type_check CHECK ((content_type = ANY (ARRAY['video'::text, 'audio'::text, 'written'::text]))),
  constraint content_deleted_at_check CHECK (((deleted_at IS NULL) = (deletion_id IS NULL))),
  constraint content_media_item_id_check CHECK (((content_type = 'written'::text) OR (media_item_id IS NOT NULL) OR (deleted_at IS NOT NULL))),
  constraint content_published_at_check CHECK (((status <> 'published'::text) OR (published_at IS NOT NULL))),
  constraint content_slug_check CHECK (((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text) AND (length(slug) <= 100))),
  constraint content_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'published'::text, 'archived'::text])))
);
comment on table app.content is 'What a creator writes and publishes: an article, or a video or a recording with its text.';
comment on column app.content.organization_id is 'For whom it was made; its members read it. Null on the creator''s own page.';
comment on column app.content.deletion_id is 'Marks all rows that went with one deletion, so that restoring brings back exactly those.';

CREATE INDEX content_content_type_published_at_id_idx ON app.content USING btree (content_type, published_at DESC, id DESC) WHERE ((status = 'published'::text) AND (deleted_at IS NULL));

CREATE INDEX content_organization_id_id_idx ON app.content USING btree (organization_id, id DESC) WHERE (organization_id IS NOT NULL);

CREATE INDEX content_organization_id_published_at_id_idx ON app.content USING btree (organization_id, published_at DESC, id DESC) WHERE ((status = 'published'::text) AND (deleted_at IS NULL) AND (organization_id IS NOT NULL));

CREATE UNIQUE INDEX content_organization_id_slug_key ON app.content USING btree (organization_id, slug) WHERE ((organization_id IS NOT NULL) AND (deleted_at IS NULL));

CREATE INDEX content_organization_id_user_id_idx ON app.content USING btree (organization_id, user_id) WHERE (organization_id IS NOT NULL);

CREATE INDEX content_published_at_id_idx ON app.content USING btree (published_at DESC, id DESC) WHERE ((status = 'published'::text) AND (deleted_at IS NULL));

CREATE INDEX content_search_idx ON app.content USING gin (search) WHERE ((status = 'published'::text) AND (deleted_at IS NULL));

CREATE INDEX content_tags_idx ON app.content USING gin (tags) WHERE ((status = 'published'::text) AND (deleted_at IS NULL));

CREATE INDEX content_user_id_media_item_id_idx ON app.content USING btree (user_id, media_item_id) WHERE (media_item_id IS NOT NULL);

CREATE INDEX content_user_id_published_at_id_idx ON app.content USING btree (user_id, published_at DESC, id DESC) WHERE ((status = 'published'::text) AND (deleted_at IS NULL) AND (organization_id IS NULL));

CREATE UNIQUE INDEX content_user_id_slug_key ON app.content USING btree (user_id, slug) WHERE ((organization_id IS NULL) AND (deleted_at IS NULL));

CREATE INDEX content_user_id_status_id_idx ON app.content USING btree (user_id, status, id DESC) WHERE (deleted_at IS NULL);

alter table app.content enable row level security;

create policy insert_owner on app.content
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.current_user_id() AS current_user_id)) AND
CASE
    WHEN (organization_id IS NOT NULL) THEN (organization_id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[]))
    ELSE true
END));

create policy select_member on app.content
  for select to rowhouse_api
  using (((organization_id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[])) AND (deleted_at IS NULL) AND (user_id <> ALL (( SELECT app.removed_user_ids() AS removed_user_ids)::uuid[]))));

create policy select_owner on app.content
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_published on app.content
  for select to rowhouse_public
  using (((status = 'published'::text) AND (deleted_at IS NULL) AND (user_id <> ALL (( SELECT app.removed_user_ids() AS removed_user_ids)::uuid[])) AND
CASE
    WHEN (organization_id IS NOT NULL) THEN (organization_id <> ALL (( SELECT app.pending_parent_ids('auth.organizations'::text) AS pending_parent_ids)::uuid[]))
    ELSE true
END AND
CASE
    WHEN (media_item_id IS NOT NULL) THEN (media_item_id <> ALL (( SELECT app.pending_parent_ids('app.media_items'::text) AS pending_parent_ids)::uuid[]))
    ELSE true
END));

create policy update_owner on app.content
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER content_check_parents_on_insert AFTER INSERT ON app.content FOR EACH ROW EXECUTE FUNCTION app.check_content_parents();
comment on trigger content_check_parents_on_insert on app.content is 'Refuses content for a removed organization, on a removed media item, or on a file of another kind.

Nothing new may hang on what is being removed at the same moment: it would stay visible without it.';

CREATE TRIGGER content_check_parents_on_update AFTER UPDATE ON app.content FOR EACH ROW WHEN ((((old.media_item_id IS DISTINCT FROM new.media_item_id) OR (old.content_type IS DISTINCT FROM new.content_type)) OR (old.deleted_at IS DISTINCT FROM new.deleted_at))) EXECUTE FUNCTION app.check_content_parents();
comment on trigger content_check_parents_on_update on app.content is 'Refuses the same when a media item is replaced, and when content is restored.

A video can''t come back without its file.';

CREATE TRIGGER content_free_slug_on_org_delete BEFORE UPDATE ON app.content FOR EACH ROW WHEN (((old.organization_id IS NOT NULL) AND (new.organization_id IS NULL) AND (new.deleted_at IS NULL))) EXECUTE FUNCTION app.free_slug_on_org_delete();
comment on trigger content_free_slug_on_org_delete on app.content is 'Numbers the slug of content that leaves its organization where its creator''s page has it already.

A slug in the way must not keep an organization from being removed, or a member from leaving.';

CREATE TRIGGER content_hold_page_on_insert BEFORE INSERT ON app.content FOR EACH ROW WHEN ((new.organization_id IS NULL)) EXECUTE FUNCTION app.hold_page();
comment on trigger content_hold_page_on_insert on app.content is 'Holds the creator''s own page while a slug is written there.

Content that leaves its organization at the same moment must see that slug, and go around it.';

CREATE TRIGGER content_hold_page_on_update BEFORE UPDATE ON app.content FOR EACH ROW WHEN (((old.organization_id IS NULL) AND (new.organization_id IS NULL) AND ((old.slug <> new.slug) OR ((old.deleted_at IS NOT NULL) AND (new.deleted_at IS NULL))))) EXECUTE FUNCTION app.hold_page();
comment on trigger content_hold_page_on_update on app.content is 'Holds the creator''s own page while a slug changes there, or comes back with what was removed.

Content that leaves its organization at the same moment must see that slug, and go around it.';

CREATE TRIGGER content_require_membership AFTER INSERT OR UPDATE OF organization_id ON app.content FOR EACH ROW WHEN ((new.organization_id IS NOT NULL)) EXECUTE FUNCTION app.require_membership();
comment on trigger content_require_membership on app.content is 'Refuses a row that names an organization to which its owner does not belong.

Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

CREATE TRIGGER content_touch_updated_at BEFORE UPDATE ON app.content FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger content_touch_updated_at on app.content is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

CREATE TRIGGER trigger_unpublish_on_org_delete BEFORE UPDATE ON app.content FOR EACH ROW WHEN (((old.organization_id IS NOT NULL) AND (new.organization_id IS NULL))) EXECUTE FUNCTION app.unpublish_content_on_org_delete();
comment on trigger trigger_unpublish_on_org_delete on app.content is 'Makes a draft of content whose organization goes from set to null.

An organization''s work must never show up on its creator''s personal page by itself.';

grant select,
  insert (organization_id, media_item_id, title, slug, description, body, content_type, tags),
  update (media_item_id, title, slug, description, body, content_type, status, published_at, tags, deleted_at, deletion_id) on app.content to rowhouse_api;
grant select (user_id, id, organization_id, media_item_id, title, slug, description, body, content_type, status, published_at, tags, created_at, updated_at) on app.content to rowhouse_public;

-- app.daily_usage

create table app.daily_usage (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  day date not null,
  tasks integer default 0 not null,
  messages integer default 0 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint daily_usage_pkey PRIMARY KEY (user_id, id),
  constraint daily_usage_user_id_day_key UNIQUE (user_id, day)
);
comment on table app.daily_usage is 'What a user created on a day (UTC), counted against their quotas.';

alter table app.daily_usage enable row level security;

create policy select_owner on app.daily_usage
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER daily_usage_touch_updated_at BEFORE UPDATE ON app.daily_usage FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger daily_usage_touch_updated_at on app.daily_usage is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select on app.daily_usage to rowhouse_api;

-- app.erasures

create table app.erasures (
  id uuid default app.new_id() not null,
  parent text not null,
  key jsonb not null,
  deletion_id uuid,
  step text,
  "position" jsonb,
  row_count bigint default 0 not null,
  due_at timestamp with time zone default now() not null,
  failure_count integer default 0 not null,
  last_error text,
  created_at timestamp with time zone default now() not null,
  finished_at timestamp with time zone,
  constraint erasures_pkey PRIMARY KEY (id)
);
comment on table app.erasures is 'Removed rows whose dependent rows are deleted in batches, and how far that is. No login reads or writes it but through functions.';
comment on column app.erasures.parent is 'The table of the removed row.';
comment on column app.erasures.key is 'The columns of the removed row that dependent rows refer to, with their values.';
comment on column app.erasures.deletion_id is 'Set where the row may be restored: dependent rows are marked with it, or lose that mark, instead of being deleted.';
comment on column app.erasures.step is 'The step of app.erasure_steps at which the next batch begins; null for the first one.';
comment on column app.erasures."position" is 'The last row that this step deleted, by its place; null before its first batch.';
comment on column app.erasures.row_count is 'How many dependent rows were deleted or changed so far.';
comment on column app.erasures.due_at is 'When the next batch may run; later after a failure.';

CREATE INDEX erasures_due_at_idx ON app.erasures USING btree (due_at) WHERE (finished_at IS NULL);

CREATE INDEX erasures_finished_at_idx ON app.erasures USING btree (finished_at) WHERE (finished_at IS NOT NULL);

alter table app.erasures enable row level security;

-- app.file_removals

create table app.file_removals (
  storage_key text not null,
  due_at timestamp with time zone default now() not null,
  repeat_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  constraint file_removals_pkey PRIMARY KEY (storage_key)
);
comment on table app.file_removals is 'Files that nothing owns any more, until they are removed. No login reads or writes it but through functions.';
comment on column app.file_removals.due_at is 'When to remove the file; of one that is being removed, when its claim ends.';
comment on column app.file_removals.repeat_at is 'When to remove it once more; null after that.';

CREATE INDEX file_removals_due_at_idx ON app.file_removals USING btree (due_at);

alter table app.file_removals enable row level security;

-- app.held_places

create table app.held_places (
  holder text not null,
  process_id uuid not null,
  count integer not null,
  expires_at timestamp with time zone not null,
  constraint held_places_pkey PRIMARY KEY (holder, process_id),
  constraint held_places_count_check CHECK ((count > 0))
);
comment on table app.held_places is 'What users hold at a time, as each process announces it, by kind and user. No login reads or writes it but through app.hold_places.';
comment on column app.held_places.holder is 'The kind of what is held, and the user: "streams:<id>".';
comment on column app.held_places.expires_at is 'When it counts no more unless the process announces it again.';

alter table app.held_places enable row level security;

-- app.keyring_checks

create table app.keyring_checks (
  key_id text not null,
  value app.envelope not null,
  created_at timestamp with time zone default now() not null,
  constraint keyring_checks_pkey PRIMARY KEY (key_id),
  constraint keyring_checks_key_id_check CHECK ((key_id = split_part((value)::text, '.'::text, 2)))
);
comment on table app.keyring_checks is 'A known text sealed with each key in use. No login reads or writes it but through app.keep_keyring_check.';

alter table app.keyring_checks enable row level security;

-- app.media_items

create table app.media_items (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  title text not null,
  description text,
  media_type text not null,
  mime_type text not null,
  file_name text not null,
  file_size_bytes bigint not null,
  status text default 'uploading'::text not null,
  error text,
  storage_key text generated always as (((('originals/'::text || (id)::text) || '/'::text) || file_name)) stored not null,
  hls_master_playlist_key text,
  thumbnail_key text,
  duration_seconds double precision,
  width integer,
  height integer,
  uploaded_at timestamp with time zone,
  deleted_at timestamp with time zone,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint media_items_pkey PRIMARY KEY (user_id, id),
  constraint media_items_deleted_at_check CHECK (((deleted_at IS NULL) = (deletion_id IS NULL))),
  constraint media_items_duration_seconds_check CHECK (((duration_seconds >= (0)::double precision) AND (duration_seconds <= ('1000000000'::numeric)::double precision))),
  constraint media_items_error_check CHECK (((error IS NOT NULL) = (status = 'failed'::text))),
  constraint media_items_file_name_check CHECK (((file_name !~ '[/\\[:cntrl:]]'::text) AND (file_name !~ '^\.'::text) AND ((octet_length(file_name) >= 1) AND (octet_length(file_name) <= 200)))),
  constraint media_items_file_size_bytes_check CHECK ((file_size_bytes > 0)),
  constraint media_items_height_check CHECK ((height > 0)),
  constraint media_items_hls_master_playlist_key_check CHECK ((starts_with(hls_master_playlist_key, (('hls/'::text || (id)::text) || '/'::text)) AND (strpos(hls_master_playlist_key, '..'::text) = 0))),
  constraint media_items_media_type_check CHECK ((media_type = ANY (ARRAY['video'::text, 'audio'::text, 'image'::text, 'document'::text]))),
  constraint media_items_mime_type_check CHECK ((mime_type ~ '^[a-z]+/[a-z0-9.+-]{1,100}$'::text)),
  constraint media_items_ready_check CHECK (((status <> 'ready'::text) OR ((uploaded_at IS NOT NULL) AND ((media_type <> 'image'::text) OR (mime_type = ANY (ARRAY['image/heic'::text, 'image/heif'::text, 'image/vnd.microsoft.icon'::text])) OR ((width IS NOT NULL) AND (height IS NOT NULL) AND (thumbnail_key IS NOT NULL)))))),
  constraint media_items_status_check CHECK ((status = ANY (ARRAY['uploading'::text, 'uploaded'::text, 'processing'::text, 'ready'::text, 'failed'::text]))),
  constraint media_items_thumbnail_key_check CHECK ((thumbnail_key = (('thumbnails/'::text || (id)::text) || '/thumbnail.webp'::text))),
  constraint media_items_width_check CHECK ((width > 0))
);
comment on table app.media_items is 'A file that its owner uploaded, or is about to, and what is known of it.';
comment on column app.media_items.file_size_bytes is 'As announced, and held against what arrived.';
comment on column app.media_items.error is 'Why the item failed, for its owner.';
comment on column app.media_items.storage_key is 'Where the file is in the store.';
comment on column app.media_items.deletion_id is 'Marks all rows that went with one deletion, so that restoring brings back exactly those.';

CREATE INDEX media_items_status_updated_at_idx ON app.media_items USING btree (updated_at) WHERE (status = ANY (ARRAY['uploading'::text, 'uploaded'::text, 'processing'::text]));

CREATE INDEX media_items_user_id_status_id_idx ON app.media_items USING btree (user_id, status, id DESC) WHERE (deleted_at IS NULL);

alter table app.media_items enable row level security;

create policy insert_owner on app.media_items
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.media_items
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.media_items
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER media_items_limit_inspections BEFORE UPDATE ON app.media_items FOR EACH ROW WHEN (((old.status = 'uploading'::text) AND (new.status = 'uploaded'::text))) EXECUTE FUNCTION app.limit_media_inspections();
comment on trigger media_items_limit_inspections on app.media_items is 'Refuses to begin with a file while 32 of its owner''s are being inspected.

One user''s uploads must not keep the others'' waiting, whichever processes inspect them.';

CREATE TRIGGER media_items_list_file_removals_on_delete AFTER DELETE ON app.media_items FOR EACH ROW EXECUTE FUNCTION app.list_file_removals();
comment on trigger media_items_list_file_removals_on_delete on app.media_items is 'Puts the files of a deleted media item on the list of files to remove.

Deleting a user removes everything they own, files included.';

CREATE TRIGGER media_items_list_file_removals_on_failure AFTER UPDATE ON app.media_items FOR EACH ROW WHEN (((new.status = 'failed'::text) AND (old.status <> 'failed'::text))) EXECUTE FUNCTION app.list_file_removals();
comment on trigger media_items_list_file_removals_on_failure on app.media_items is 'Puts the files of a media item that failed on the list of files to remove.

An upload that was refused or broke off leaves nothing behind.';

CREATE TRIGGER media_items_remove_content AFTER UPDATE ON app.media_items FOR EACH ROW WHEN ((old.deletion_id IS DISTINCT FROM new.deletion_id)) EXECUTE FUNCTION app.follow_deletion('app.content', 'media_item_id', 'user_id');
comment on trigger media_items_remove_content on app.media_items is 'Removes the content that stands on a removed media item, and brings back what went with it.

Restoring brings back exactly what one removal took, and nothing that was removed before.';

CREATE TRIGGER media_items_touch_updated_at BEFORE UPDATE ON app.media_items FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger media_items_touch_updated_at on app.media_items is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select,
  insert (title, description, media_type, mime_type, file_name, file_size_bytes),
  update (title, description, status, error, thumbnail_key, duration_seconds, width, height, uploaded_at, deleted_at, deletion_id) on app.media_items to rowhouse_api;

-- app.oauth_states

create table app.oauth_states (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  session_id uuid default app.current_session_id() not null,
  state_hash bytea not null,
  provider app.connection_provider not null,
  code_verifier app.envelope,
  return_to text not null,
  expires_at timestamp with time zone default (now() + '00:10:00'::interval) not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint oauth_states_pkey PRIMARY KEY (user_id, id),
  constraint oauth_states_state_hash_key UNIQUE (state_hash),
  constraint oauth_states_state_hash_check CHECK ((octet_length(state_hash) = 32))
);
comment on table app.oauth_states is 'Connect flows that a browser has begun: taken once, by the session that began them.';

CREATE INDEX oauth_states_expires_at_idx ON app.oauth_states USING btree (expires_at);

CREATE INDEX oauth_states_user_id_session_id_idx ON app.oauth_states USING btree (user_id, session_id);

alter table app.oauth_states enable row level security;

create policy insert_session on app.oauth_states
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.current_session_user_id() AS current_session_user_id)) AND (session_id = ( SELECT app.current_session_id() AS current_session_id))));

create policy select_session on app.oauth_states
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_session_user_id() AS current_session_user_id)) AND (session_id = ( SELECT app.current_session_id() AS current_session_id))));

CREATE TRIGGER oauth_states_touch_updated_at BEFORE UPDATE ON app.oauth_states FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger oauth_states_touch_updated_at on app.oauth_states is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant insert (id, state_hash, provider, code_verifier, return_to),
  select (user_id, id, session_id, provider, return_to, expires_at, created_at, updated_at) on app.oauth_states to rowhouse_api;

-- app.organization_approval_sequences

create table app.organization_approval_sequences (
  organization_id uuid not null,
  last_seq integer not null,
  constraint organization_approval_sequences_pkey PRIMARY KEY (organization_id)
);
comment on table app.organization_approval_sequences is 'The last number given to a change of an organization''s approvals.';

alter table app.organization_approval_sequences enable row level security;

create policy select_member on app.organization_approval_sequences
  for select to rowhouse_api
  using ((organization_id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[])));

grant select on app.organization_approval_sequences to rowhouse_api;

-- app.provider_keys

create table app.provider_keys (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  provider text not null,
  value app.envelope not null,
  hint text not null,
  last_used_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint provider_keys_pkey PRIMARY KEY (user_id, id),
  constraint provider_keys_user_id_provider_key UNIQUE (user_id, provider),
  constraint provider_keys_hint_check CHECK ((length(hint) <= 4)),
  constraint provider_keys_provider_check CHECK ((provider = ANY (ARRAY['anthropic'::text, 'openai'::text, 'cursor'::text, 'gemini'::text, 'aigateway'::text])))
);
comment on table app.provider_keys is 'A user''s keys to AI providers, one a provider, sealed.';
comment on column app.provider_keys.hint is 'The key''s last characters, by which its owner recognises it.';
comment on column app.provider_keys.last_used_at is 'When the key was last revealed, to its owner or to a worker.';

alter table app.provider_keys enable row level security;

create policy delete_owner on app.provider_keys
  for delete to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy insert_owner on app.provider_keys
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.provider_keys
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.provider_keys
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER provider_keys_touch_updated_at BEFORE UPDATE OF hint ON app.provider_keys FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger provider_keys_touch_updated_at on app.provider_keys is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  select,
  insert (id, provider, value, hint),
  update (id, value, hint, last_used_at) on app.provider_keys to rowhouse_api;

-- app.rate_limits

create table app.rate_limits (
  key text not null,
  count integer default 1 not null,
  window_started_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint rate_limits_pkey PRIMARY KEY (key)
);
comment on table app.rate_limits is 'Counters of calls by key and window. No login reads or writes it but through app.take_rate_limit.';

CREATE INDEX rate_limits_expires_at_idx ON app.rate_limits USING btree (expires_at);

alter table app.rate_limits enable row level security;

CREATE TRIGGER rate_limits_touch_updated_at BEFORE UPDATE ON app.rate_limits FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger rate_limits_touch_updated_at on app.rate_limits is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

-- app.settings

create table app.settings (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  key text not null,
  value jsonb not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint settings_pkey PRIMARY KEY (user_id, id),
  constraint settings_user_id_key_key UNIQUE (user_id, key)
);
comment on table app.settings is 'What a user has set, by key; which keys exist and what they hold is known to the code.';

alter table app.settings enable row level security;

create policy delete_owner on app.settings
  for delete to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy insert_owner on app.settings
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.settings
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.settings
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER settings_touch_updated_at BEFORE UPDATE ON app.settings FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger settings_touch_updated_at on app.settings is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  select,
  insert (key, value),
  update (value) on app.settings to rowhouse_api;

-- app.task_connectors

create table app.task_connectors (
  user_id uuid default app.current_owner_id() not null,
  task_id uuid not null,
  connector_id uuid not null,
  created_at timestamp with time zone default now() not null,
  constraint task_connectors_pkey PRIMARY KEY (user_id, task_id, connector_id)
);
comment on table app.task_connectors is 'Which connectors a task may use.';

CREATE INDEX task_connectors_user_id_connector_id_idx ON app.task_connectors USING btree (user_id, connector_id);

alter table app.task_connectors enable row level security;

create policy insert_owner on app.task_connectors
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.task_connectors
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

grant select,
  insert (task_id, connector_id) on app.task_connectors to rowhouse_api;

-- app.task_events

create table app.task_events (
  user_id uuid default app.current_owner_id() not null,
  task_id uuid not null,
  seq integer not null,
  kind text not null,
  message_id uuid not null,
  "offset" integer,
  at timestamp with time zone default now() not null,
  constraint task_events_pkey PRIMARY KEY (user_id, task_id, seq),
  constraint task_events_kind_check CHECK ((kind = ANY (ARRAY['message'::text, 'delta'::text, 'finished'::text]))),
  constraint task_events_offset_check CHECK (((kind = 'delta'::text) = ("offset" IS NOT NULL))),
  constraint task_events_seq_check CHECK ((seq > 0))
);
comment on table app.task_events is 'What happened to a task''s messages, in order. Append-only, until a message''s deltas become one.';

CREATE INDEX task_events_at_idx ON app.task_events USING btree (at) WHERE ((kind = 'delta'::text) AND ("offset" > 0));

CREATE INDEX task_events_user_id_task_id_message_id_idx ON app.task_events USING btree (user_id, task_id, message_id);

alter table app.task_events enable row level security;

create policy insert_lease on app.task_events
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id))));

create policy insert_owner on app.task_events
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.task_events
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (task_id = ( SELECT app.leased_task_id() AS leased_task_id))
    ELSE true
END));

grant select,
  insert (task_id, seq, kind, message_id, "offset") on app.task_events to rowhouse_api;

-- app.task_keys

create table app.task_keys (
  user_id uuid default app.current_owner_id() not null,
  task_id uuid not null,
  provider text not null,
  created_at timestamp with time zone default now() not null,
  constraint task_keys_pkey PRIMARY KEY (user_id, task_id, provider),
  constraint task_keys_provider_check CHECK ((provider = ANY (ARRAY['anthropic'::text, 'openai'::text, 'cursor'::text, 'gemini'::text, 'aigateway'::text])))
);
comment on table app.task_keys is 'Which providers'' keys a task may use. A key may be set, or set anew, after the task was created.';

alter table app.task_keys enable row level security;

create policy insert_owner on app.task_keys
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.task_keys
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

grant select,
  insert (task_id, provider) on app.task_keys to rowhouse_api;

-- app.task_leases

create table app.task_leases (
  user_id uuid not null,
  id uuid default app.new_id() not null,
  task_id uuid not null,
  credential_hash bytea not null,
  worker text not null,
  api_token_id uuid,
  session_id uuid,
  lease_seconds integer not null,
  expires_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint task_leases_pkey PRIMARY KEY (user_id, id),
  constraint task_leases_credential_hash_key UNIQUE (credential_hash),
  constraint task_leases_credential_hash_check CHECK ((octet_length(credential_hash) = 32)),
  constraint task_leases_lease_seconds_check CHECK (((lease_seconds >= 10) AND (lease_seconds <= 600)))
);
comment on table app.task_leases is 'Who works on a task, until when. Without a token and a session, it was the operator''s worker.';

CREATE INDEX task_leases_expires_at_idx ON app.task_leases USING btree (expires_at) WHERE (ended_at IS NULL);

CREATE INDEX task_leases_user_id_api_token_id_idx ON app.task_leases USING btree (user_id, api_token_id) WHERE (ended_at IS NULL);

CREATE INDEX task_leases_user_id_session_id_idx ON app.task_leases USING btree (user_id, session_id) WHERE (ended_at IS NULL);

CREATE INDEX task_leases_user_id_task_id_idx ON app.task_leases USING btree (user_id, task_id);

CREATE UNIQUE INDEX task_leases_user_id_task_id_live_key ON app.task_leases USING btree (user_id, task_id) WHERE (ended_at IS NULL);

alter table app.task_leases enable row level security;

create policy select_owner on app.task_leases
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER task_leases_fail_abandoned_messages AFTER UPDATE OF ended_at ON app.task_leases FOR EACH ROW WHEN (((old.ended_at IS NULL) AND (new.ended_at IS NOT NULL))) EXECUTE FUNCTION app.fail_abandoned_messages();
comment on trigger task_leases_fail_abandoned_messages on app.task_leases is 'Fails the messages that a worker left unfinished when its lease ended.

Nobody waits for the rest of a message that nobody writes.';

CREATE TRIGGER task_leases_touch_updated_at BEFORE UPDATE ON app.task_leases FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger task_leases_touch_updated_at on app.task_leases is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select (user_id, id, task_id, worker, lease_seconds, expires_at, ended_at, created_at, updated_at) on app.task_leases to rowhouse_api;

-- app.task_logs

create table app.task_logs (
  user_id uuid default app.current_owner_id() not null,
  task_id uuid not null,
  seq integer not null,
  type text not null,
  message text not null,
  at timestamp with time zone default now() not null,
  constraint task_logs_pkey PRIMARY KEY (user_id, task_id, seq),
  constraint task_logs_seq_check CHECK ((seq > 0)),
  constraint task_logs_type_check CHECK ((type = ANY (ARRAY['info'::text, 'command'::text, 'error'::text, 'success'::text])))
);
comment on table app.task_logs is 'What a task reports, line by line. Append-only.';

alter table app.task_logs enable row level security;

create policy insert_lease on app.task_logs
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id))));

create policy insert_owner on app.task_logs
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.task_logs
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (task_id = ( SELECT app.leased_task_id() AS leased_task_id))
    ELSE true
END));

grant select,
  insert (task_id, seq, type, message) on app.task_logs to rowhouse_api;

-- app.task_message_deltas

create table app.task_message_deltas (
  user_id uuid default app.current_owner_id() not null,
  message_id uuid not null,
  "offset" integer not null,
  text text not null,
  constraint task_message_deltas_pkey PRIMARY KEY (user_id, message_id, "offset"),
  constraint task_message_deltas_offset_check CHECK (("offset" >= 0))
);
comment on table app.task_message_deltas is 'The parts of a message in the order they were written. Append-only; one part with all of the text a week after it was finished.';

alter table app.task_message_deltas enable row level security;

create policy insert_owner on app.task_message_deltas
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

grant select,
  insert (message_id, "offset", text) on app.task_message_deltas to rowhouse_api;

-- app.task_messages

create table app.task_messages (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  task_id uuid not null,
  seq integer not null,
  role text not null,
  content text not null,
  length integer default 0 not null,
  status text not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint task_messages_pkey PRIMARY KEY (user_id, id),
  constraint task_messages_user_id_task_id_id_key UNIQUE (user_id, task_id, id),
  constraint task_messages_user_id_task_id_seq_key UNIQUE (user_id, task_id, seq),
  constraint task_messages_role_check CHECK ((role = ANY (ARRAY['user'::text, 'agent'::text]))),
  constraint task_messages_seq_check CHECK ((seq > 0)),
  constraint task_messages_status_check CHECK ((status = ANY (ARRAY['streaming'::text, 'complete'::text, 'failed'::text])))
);
comment on table app.task_messages is 'The conversation between a user and the agent of a task.';

alter table app.task_messages enable row level security;

create policy insert_lease on app.task_messages
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id)) AND (role = 'agent'::text)));

create policy insert_owner on app.task_messages
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.task_messages
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (task_id = ( SELECT app.leased_task_id() AS leased_task_id))
    ELSE true
END));

create policy update_lease on app.task_messages
  for update to rowhouse_api
  using (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id)) AND (role = 'agent'::text)))
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (task_id = ( SELECT app.leased_task_id() AS leased_task_id)) AND (role = 'agent'::text)));

create policy update_owner on app.task_messages
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER task_messages_touch_updated_at BEFORE UPDATE ON app.task_messages FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger task_messages_touch_updated_at on app.task_messages is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select,
  insert (task_id, seq, role, content, length, status),
  update (content, length, status) on app.task_messages to rowhouse_api;

-- app.tasks

create table app.tasks (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  organization_id uuid,
  title text not null,
  prompt text not null,
  status text default 'pending'::text not null,
  progress integer default 0 not null,
  repo_url text,
  branch_name text,
  sandbox_url text,
  preview_url text,
  pr_url text,
  pr_number integer,
  pr_status text,
  pr_merge_commit_sha text,
  agent text,
  model text,
  agent_session_id text,
  sandbox_id text,
  options jsonb default '{}'::jsonb not null,
  result jsonb,
  error text,
  lease_id uuid,
  last_log_seq integer default 0 not null,
  last_message_seq integer default 0 not null,
  last_event_seq integer default 0 not null,
  started_at timestamp with time zone,
  completed_at timestamp with time zone,
  deleted_at timestamp with time zone,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  search tsvector generated always as (app.search_vector(((title || ' '::text) || prompt))) stored not null,
  constraint tasks_pkey PRIMARY KEY (user_id, id),
  constraint tasks_deleted_at_check CHECK (((deleted_at IS NULL) = (deletion_id IS NULL))),
  constraint tasks_options_check CHECK (((options ->> 'maxDurationSeconds'::text) ~ '^[1-9][0-9]{0,4}$'::text)),
  constraint tasks_pr_status_check CHECK ((pr_status = ANY (ARRAY['open'::text, 'closed'::text, 'merged'::text]))),
  constraint tasks_progress_check CHECK (((progress >= 0) AND (progress <= 100))),
  constraint tasks_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'completed'::text, 'error'::text, 'stopped'::text])))
);
comment on table app.tasks is 'Work for an agent: a prompt, its progress and what came of it.';
comment on column app.tasks.lease_id is 'The lease under which a worker may write: the fence that holds under the row''s lock, when a lease changes hands meanwhile.';
comment on column app.tasks.deletion_id is 'Marks all rows that went with one deletion, so that restoring brings back exactly those.';

CREATE INDEX tasks_claimable_idx ON app.tasks USING btree (user_id, id) WHERE ((deleted_at IS NULL) AND (status = ANY (ARRAY['pending'::text, 'processing'::text])));

CREATE INDEX tasks_organization_id_user_id_idx ON app.tasks USING btree (organization_id, user_id) WHERE (organization_id IS NOT NULL);

CREATE INDEX tasks_user_id_status_id_idx ON app.tasks USING btree (user_id, status, id DESC) WHERE (deleted_at IS NULL);

alter table app.tasks enable row level security;

create policy insert_owner on app.tasks
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.current_user_id() AS current_user_id)) AND
CASE
    WHEN (organization_id IS NOT NULL) THEN (organization_id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[]))
    ELSE true
END));

create policy select_owner on app.tasks
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (id = ( SELECT app.leased_task_id() AS leased_task_id))
    ELSE true
END));

create policy update_lease on app.tasks
  for update to rowhouse_api
  using (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (id = ( SELECT app.leased_task_id() AS leased_task_id)) AND (lease_id = ( SELECT app.leased_id() AS leased_id))))
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (id = ( SELECT app.leased_task_id() AS leased_task_id)) AND (deleted_at IS NULL) AND (status = ANY (ARRAY['processing'::text, 'completed'::text, 'error'::text]))));

create policy update_owner on app.tasks
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER tasks_end_lease AFTER UPDATE OF status, deleted_at ON app.tasks FOR EACH ROW WHEN (((old.status = 'processing'::text) AND ((new.status <> 'processing'::text) OR (new.deleted_at IS NOT NULL)))) EXECUTE FUNCTION app.end_task_lease();
comment on trigger tasks_end_lease on app.tasks is 'Ends the lease of a task that is over or removed.

A stopped task''s worker writes nothing more.';

CREATE TRIGGER tasks_mark_approvals AFTER UPDATE OF deleted_at ON app.tasks FOR EACH ROW WHEN (((old.deleted_at IS NULL) <> (new.deleted_at IS NULL))) EXECUTE FUNCTION app.mark_approvals_with_task();
comment on trigger tasks_mark_approvals on app.tasks is 'Removes a removed task''s approvals with it, and brings them back with it.

Nobody should be asked to decide for a task that is gone.';

CREATE TRIGGER tasks_require_membership AFTER INSERT OR UPDATE OF organization_id ON app.tasks FOR EACH ROW WHEN ((new.organization_id IS NOT NULL)) EXECUTE FUNCTION app.require_membership();
comment on trigger tasks_require_membership on app.tasks is 'Refuses a row that names an organization to which its owner does not belong.

Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

CREATE TRIGGER tasks_touch_updated_at BEFORE UPDATE ON app.tasks FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger tasks_touch_updated_at on app.tasks is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

CREATE TRIGGER tasks_unname_lease BEFORE UPDATE ON app.tasks FOR EACH ROW WHEN (((old.status = 'processing'::text) AND ((new.status <> 'processing'::text) OR (new.deleted_at IS NOT NULL)))) EXECUTE FUNCTION app.unname_task_lease();
comment on trigger tasks_unname_lease on app.tasks is 'Takes the lease off a task that is over or removed.

Whoever writes under a lease must meet its end in the task''s own row.';

grant select,
  insert (organization_id, title, prompt, repo_url, agent, model, options),
  update (title, status, progress, branch_name, sandbox_url, preview_url, pr_url, pr_number, pr_status, pr_merge_commit_sha, agent_session_id, sandbox_id, result, error, last_log_seq, last_message_seq, last_event_seq, started_at, completed_at, deleted_at, deletion_id) on app.tasks to rowhouse_api;

-- app.tool_calls

create table app.tool_calls (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  run_id uuid not null,
  call_id text not null,
  tool text not null,
  arguments jsonb not null,
  arguments_hash bytea not null,
  result jsonb,
  error text,
  status text default 'pending'::text not null,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint tool_calls_pkey PRIMARY KEY (user_id, id),
  constraint tool_calls_user_id_run_id_call_id_key UNIQUE (user_id, run_id, call_id),
  constraint tool_calls_arguments_hash_check CHECK ((octet_length(arguments_hash) = 32)),
  constraint tool_calls_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'awaiting_approval'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'denied'::text])))
);
comment on table app.tool_calls is 'The tools that a run called, with what they were given and gave back.';

CREATE INDEX tool_calls_user_id_run_id_id_idx ON app.tool_calls USING btree (user_id, run_id, id);

alter table app.tool_calls enable row level security;

create policy insert_owner on app.tool_calls
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.tool_calls
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER tool_calls_keep_transition BEFORE UPDATE ON app.tool_calls FOR EACH ROW WHEN (((((old.status IS DISTINCT FROM new.status) OR (old.result IS DISTINCT FROM new.result)) OR (old.error IS DISTINCT FROM new.error)) OR (old.finished_at IS DISTINCT FROM new.finished_at))) EXECUTE FUNCTION app.keep_tool_call_transition();
comment on trigger tool_calls_keep_transition on app.tool_calls is 'Lets the API end tool calls that are running, and change no other.

A call that waits for approval is moved on by a decision alone.';

CREATE TRIGGER tool_calls_start BEFORE INSERT ON app.tool_calls FOR EACH ROW EXECUTE FUNCTION app.start_tool_call();
comment on trigger tool_calls_start on app.tool_calls is 'Lets a new tool call run, or wait for approval where the catalogue says so.

Whether a call needs approval is not for whoever makes the call to say.';

CREATE TRIGGER tool_calls_touch_updated_at BEFORE UPDATE ON app.tool_calls FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger tool_calls_touch_updated_at on app.tool_calls is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select,
  insert (run_id, call_id, tool, arguments, arguments_hash),
  update (result, error, status, finished_at) on app.tool_calls to rowhouse_api;

-- app.tools

create table app.tools (
  id uuid default app.new_id() not null,
  slug text not null,
  name text not null,
  description text not null,
  category text not null,
  tags text[] default '{}'::text[] not null,
  input_schema jsonb not null,
  config_schema jsonb default '{"type": "object", "properties": {}, "additionalProperties": false}'::jsonb not null,
  requires_approval boolean default false not null,
  requires_connection app.connection_provider,
  is_enabled boolean default true not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint tools_pkey PRIMARY KEY (id),
  constraint tools_slug_key UNIQUE (slug),
  constraint tools_category_check CHECK ((category = ANY (ARRAY['files'::text, 'shell'::text, 'code'::text, 'web'::text, 'messaging'::text, 'project'::text])))
);
comment on table app.tools is 'The catalogue of tools that agents may call.';

alter table app.tools enable row level security;

create policy select_everyone on app.tools
  for select to rowhouse_api
  using (is_enabled);

create policy select_everyone_public on app.tools
  for select to rowhouse_public
  using (is_enabled);

CREATE TRIGGER tools_touch_updated_at BEFORE UPDATE ON app.tools FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger tools_touch_updated_at on app.tools is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select on app.tools to rowhouse_api;
grant select on app.tools to rowhouse_public;

-- app.user_tools

create table app.user_tools (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  tool_id uuid not null,
  is_enabled boolean default true not null,
  config jsonb default '{}'::jsonb not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint user_tools_pkey PRIMARY KEY (user_id, id),
  constraint user_tools_user_id_tool_id_key UNIQUE (user_id, tool_id)
);
comment on table app.user_tools is 'Which tools a user has enabled, and how they are set up for them.';

CREATE INDEX user_tools_tool_id_idx ON app.user_tools USING btree (tool_id);

alter table app.user_tools enable row level security;

create policy insert_owner on app.user_tools
  for insert to rowhouse_api
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy select_owner on app.user_tools
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.user_tools
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER user_tools_touch_updated_at BEFORE UPDATE ON app.user_tools FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger user_tools_touch_updated_at on app.user_tools is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select,
  insert (tool_id, is_enabled, config),
  update (is_enabled, config) on app.user_tools to rowhouse_api;

-- app.webhook_deliveries

create table app.webhook_deliveries (
  id uuid default app.new_id() not null,
  provider app.connection_provider not null,
  delivery_id text not null,
  body_hash bytea not null,
  event_type text not null,
  headers jsonb not null,
  payload jsonb not null,
  received_at timestamp with time zone default now() not null,
  constraint webhook_deliveries_pkey PRIMARY KEY (id),
  constraint webhook_deliveries_provider_body_hash_key UNIQUE (provider, body_hash),
  constraint webhook_deliveries_provider_delivery_id_key UNIQUE (provider, delivery_id)
);
comment on table app.webhook_deliveries is 'What providers delivered, once each, for thirty days. No login reads or writes it but through functions.';
comment on column app.webhook_deliveries.delivery_id is 'The provider''s, by which a repeated delivery is recognised.';
comment on column app.webhook_deliveries.body_hash is 'SHA-256 of the body as it was signed: a copy under another id, which no signature covers, is recognised by it.';

CREATE INDEX webhook_deliveries_received_at_idx ON app.webhook_deliveries USING btree (received_at);

alter table app.webhook_deliveries enable row level security;

-- app.webhook_events

create table app.webhook_events (
  user_id uuid default app.current_owner_id() not null,
  id uuid default app.new_id() not null,
  connection_id uuid not null,
  delivery_id uuid not null,
  provider app.connection_provider not null,
  event_type text not null,
  payload jsonb not null,
  effect text,
  status text default 'received'::text not null,
  attempts integer default 0 not null,
  next_attempt_at timestamp with time zone default now(),
  last_error text,
  processed_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint webhook_events_pkey PRIMARY KEY (user_id, id),
  constraint webhook_events_user_id_connection_id_delivery_id_key UNIQUE (user_id, connection_id, delivery_id),
  constraint webhook_events_effect_check CHECK ((effect = ANY (ARRAY['revoke'::text, 'suspend'::text, 'unsuspend'::text]))),
  constraint webhook_events_next_attempt_at_check CHECK (((next_attempt_at IS NULL) = (status = ANY (ARRAY['processed'::text, 'dead'::text])))),
  constraint webhook_events_status_check CHECK ((status = ANY (ARRAY['received'::text, 'processing'::text, 'processed'::text, 'failed'::text, 'dead'::text])))
);
comment on table app.webhook_events is 'What a delivery was to one connection: an event of its owner''s.';
comment on column app.webhook_events.effect is 'What processing does to the connection; null where it only notes the event.';
comment on column app.webhook_events.next_attempt_at is 'When the event is to be worked on; of one that is being processed, when its claim ends.';

CREATE INDEX webhook_events_delivery_id_idx ON app.webhook_events USING btree (delivery_id);

CREATE INDEX webhook_events_next_attempt_at_idx ON app.webhook_events USING btree (next_attempt_at) WHERE (status = ANY (ARRAY['received'::text, 'processing'::text, 'failed'::text]));

CREATE INDEX webhook_events_user_id_provider_id_idx ON app.webhook_events USING btree (user_id, provider, id DESC);

CREATE INDEX webhook_events_user_id_status_id_idx ON app.webhook_events USING btree (user_id, status, id DESC);

alter table app.webhook_events enable row level security;

create policy select_owner on app.webhook_events
  for select to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

create policy update_owner on app.webhook_events
  for update to rowhouse_api
  using ((user_id = ( SELECT app.current_user_id() AS current_user_id)))
  with check ((user_id = ( SELECT app.current_user_id() AS current_user_id)));

CREATE TRIGGER webhook_events_keep_transition BEFORE UPDATE ON app.webhook_events FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION app.keep_webhook_event_transition();
comment on trigger webhook_events_keep_transition on app.webhook_events is 'Lets the API send dead webhook events around once more, and change no other.

An event''s effect is made once, by whoever holds its claim.';

CREATE TRIGGER webhook_events_touch_updated_at BEFORE UPDATE ON app.webhook_events FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger webhook_events_touch_updated_at on app.webhook_events is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select,
  update (status) on app.webhook_events to rowhouse_api;

-- auth.accounts

create table auth.accounts (
  id uuid default app.new_id() not null,
  user_id uuid not null,
  account_id text not null,
  provider_id text not null,
  access_token text,
  refresh_token text,
  id_token text,
  access_token_expires_at timestamp with time zone,
  refresh_token_expires_at timestamp with time zone,
  scope text,
  password text,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint accounts_pkey PRIMARY KEY (id),
  constraint accounts_provider_id_account_id_key UNIQUE (provider_id, account_id)
);
comment on table auth.accounts is 'Ways to sign in: a password or an external account. OAuth tokens are encrypted.';

CREATE INDEX accounts_user_id_idx ON auth.accounts USING btree (user_id);

alter table auth.accounts enable row level security;

create policy all_auth on auth.accounts
  for all to rowhouse_auth
  using (true)
  with check (true);

CREATE TRIGGER accounts_end_pending_proofs AFTER UPDATE OF password ON auth.accounts FOR EACH ROW WHEN ((old.password IS DISTINCT FROM new.password)) EXECUTE FUNCTION auth.end_pending_proofs();
comment on trigger accounts_end_pending_proofs on auth.accounts is 'Ends a user''s reset links and sign-in challenges when the password changes.

A user changes a password that others know, and older links would let those in again.';

CREATE TRIGGER accounts_end_pending_proofs_on_insert AFTER INSERT ON auth.accounts FOR EACH ROW WHEN ((new.password IS NOT NULL)) EXECUTE FUNCTION auth.end_pending_proofs();
comment on trigger accounts_end_pending_proofs_on_insert on auth.accounts is 'Ends a user''s reset links and sign-in challenges when a password is set for the first time.

A link that was asked for before must not replace what the user chose after it.';

CREATE TRIGGER accounts_forget_trusted_devices AFTER UPDATE OF password ON auth.accounts FOR EACH ROW WHEN ((old.password IS DISTINCT FROM new.password)) EXECUTE FUNCTION auth.forget_trusted_devices();
comment on trigger accounts_forget_trusted_devices on auth.accounts is 'Forgets a user''s trusted devices when the password changes.

A new password is a new start: every device proves itself again.';

CREATE TRIGGER accounts_forget_trusted_devices_on_insert AFTER INSERT ON auth.accounts FOR EACH ROW WHEN ((new.password IS NOT NULL)) EXECUTE FUNCTION auth.forget_trusted_devices();
comment on trigger accounts_forget_trusted_devices_on_insert on auth.accounts is 'Forgets a user''s trusted devices when a password is set for the first time.

A new password is a new start: every device proves itself again.';

CREATE TRIGGER accounts_touch_updated_at BEFORE UPDATE ON auth.accounts FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger accounts_touch_updated_at on auth.accounts is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  insert,
  select,
  update on auth.accounts to rowhouse_auth;

-- auth.invitations

create table auth.invitations (
  id uuid default app.new_id() not null,
  organization_id uuid not null,
  inviter_id uuid not null,
  email text not null,
  role text default 'member'::text not null,
  status text default 'pending'::text not null,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint invitations_pkey PRIMARY KEY (id),
  constraint invitations_email_check CHECK (((char_length(email) <= 254) AND (email = lower(email)) AND (email !~ '[\u0001-\u0020\u007f-\u00a0]'::text))),
  constraint invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text]))),
  constraint invitations_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'accepted'::text, 'rejected'::text, 'canceled'::text])))
);
comment on table auth.invitations is 'Invitations into an organization, by mail address.';

CREATE INDEX invitations_email_idx ON auth.invitations USING btree (email);

CREATE INDEX invitations_inviter_id_idx ON auth.invitations USING btree (inviter_id);

CREATE INDEX invitations_organization_id_idx ON auth.invitations USING btree (organization_id, status);

alter table auth.invitations enable row level security;

CREATE TRIGGER invitations_touch_updated_at BEFORE UPDATE ON auth.invitations FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger invitations_touch_updated_at on auth.invitations is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  insert,
  select,
  update on auth.invitations to rowhouse_auth;

-- auth.members

create table auth.members (
  id uuid default app.new_id() not null,
  organization_id uuid not null,
  user_id uuid not null,
  role text default 'member'::text not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint members_pkey PRIMARY KEY (id),
  constraint members_organization_id_user_id_key UNIQUE (organization_id, user_id),
  constraint members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text])))
);
comment on table auth.members is 'Who belongs to an organization, and as what.';

CREATE INDEX members_user_id_idx ON auth.members USING btree (user_id, organization_id);

alter table auth.members enable row level security;

create policy select_member on auth.members
  for select to rowhouse_api
  using ((organization_id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[])));

CREATE TRIGGER members_cancel_invitations AFTER DELETE OR UPDATE OF role ON auth.members FOR EACH ROW WHEN ((old.role <> 'member'::text)) EXECUTE FUNCTION auth.cancel_former_inviters_invitations();
comment on trigger members_cancel_invitations on auth.members is 'Cancels the open invitations of somebody who may no longer invite.

Who was removed or lowered must not let anybody in by a mail that is on its way.';

CREATE TRIGGER members_follow_in_batches AFTER DELETE ON auth.members FOR EACH ROW EXECUTE FUNCTION app.follow_in_batches('organization_id', 'user_id');
comment on trigger members_follow_in_batches on auth.members is 'Takes what a former member shared out of the organization, and ends the API tokens bound to it.

A member with a hundred thousand tasks can leave, or be removed, as fast as any other.';

CREATE TRIGGER members_keep_last_owner BEFORE DELETE OR UPDATE ON auth.members FOR EACH ROW EXECUTE FUNCTION auth.keep_last_owner();
comment on trigger members_keep_last_owner on auth.members is 'Refuses to remove or lower the last owner of an organization.

An organization without an owner is nobody''s to run.';

CREATE TRIGGER members_touch_updated_at BEFORE UPDATE ON auth.members FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger members_touch_updated_at on auth.members is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select (organization_id, user_id, role) on auth.members to rowhouse_api;
grant delete,
  insert,
  select,
  update on auth.members to rowhouse_auth;

-- auth.organizations

create table auth.organizations (
  id uuid default app.new_id() not null,
  name text not null,
  slug text not null,
  logo text,
  metadata text,
  require_two_factor boolean default false not null,
  allow_self_approval boolean default false not null,
  deleted_at timestamp with time zone,
  deletion_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint organizations_pkey PRIMARY KEY (id),
  constraint organizations_logo_check CHECK (((char_length(logo) <= 2048) AND (logo ~* '^https?://[^\u0001-\u0020\u007f]+$'::text))),
  constraint organizations_metadata_check CHECK ((octet_length(metadata) <= 16384)),
  constraint organizations_name_check CHECK (((char_length(name) <= 100) AND (btrim(name) <> ''::text) AND (name !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]'::text))),
  constraint organizations_slug_check CHECK (((char_length(slug) <= 63) AND (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)))
);
comment on table auth.organizations is 'Teams. Removing one hides it; its row stays, so that it can be restored within 30 days.';

CREATE UNIQUE INDEX organizations_slug_key ON auth.organizations USING btree (slug) WHERE (deleted_at IS NULL);

alter table auth.organizations enable row level security;

create policy all_auth on auth.organizations
  for all to rowhouse_auth
  using ((deleted_at IS NULL))
  with check ((deleted_at IS NULL));

create policy select_member on auth.organizations
  for select to rowhouse_api
  using ((id = ANY (( SELECT app.member_organization_ids() AS member_organization_ids)::uuid[])));

CREATE TRIGGER organizations_detach_content AFTER UPDATE ON auth.organizations FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION app.detach_organization_content();
comment on trigger organizations_detach_content on auth.organizations is 'Takes a removed organization''s content out of it, and so makes drafts of it.

Content stays with its creators, and nothing of a removed organization stays published.';

CREATE TRIGGER organizations_touch_updated_at BEFORE UPDATE ON auth.organizations FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger organizations_touch_updated_at on auth.organizations is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select (id, name, slug, logo) on auth.organizations to rowhouse_api;
grant delete,
  insert,
  select,
  update on auth.organizations to rowhouse_auth;

-- auth.sessions

create table auth.sessions (
  id uuid default app.new_id() not null,
  user_id uuid not null,
  token text not null,
  expires_at timestamp with time zone not null,
  slides boolean default true not null,
  second_factor_at timestamp with time zone,
  last_used_at timestamp with time zone default now() not null,
  ip_address text,
  user_agent text,
  active_organization_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint sessions_pkey PRIMARY KEY (id),
  constraint sessions_token_key UNIQUE (token),
  constraint sessions_user_id_id_key UNIQUE (user_id, id),
  constraint sessions_user_agent_check CHECK ((char_length(user_agent) <= 500))
);
comment on table auth.sessions is 'Sign-ins that last. A token is stored as the SHA-256 of the SHA-256 of the secret, in hex.';
comment on column auth.sessions.slides is 'Whether use prolongs the session; false for one that was not to be remembered.';
comment on column auth.sessions.second_factor_at is 'When the second factor that stands behind the session was given; null where its user had none.';

CREATE INDEX sessions_active_organization_id_idx ON auth.sessions USING btree (active_organization_id);

CREATE INDEX sessions_expires_at_idx ON auth.sessions USING btree (expires_at);

CREATE INDEX sessions_user_id_idx ON auth.sessions USING btree (user_id);

alter table auth.sessions enable row level security;

create policy all_auth on auth.sessions
  for all to rowhouse_auth
  using (true)
  with check (true);

CREATE TRIGGER sessions_ask_second_factor BEFORE INSERT ON auth.sessions FOR EACH ROW EXECUTE FUNCTION auth.ask_second_factor();
comment on trigger sessions_ask_second_factor on auth.sessions is 'Refuses a session without the second factor to a user who has switched it on.

Whichever way a session is made, a password alone reaches nothing.';

CREATE TRIGGER sessions_end_leases BEFORE DELETE ON auth.sessions FOR EACH ROW EXECUTE FUNCTION app.end_credential_leases();
comment on trigger sessions_end_leases on auth.sessions is 'Ends the leases that were claimed with a session.

A worker may do no more than what it was started with.';

CREATE TRIGGER sessions_set_slides BEFORE INSERT ON auth.sessions FOR EACH ROW EXECUTE FUNCTION auth.set_session_slides();
comment on trigger sessions_set_slides on auth.sessions is 'Notes whether a session is one to be remembered.

Only a session that its user asked to keep is prolonged by use.';

CREATE TRIGGER sessions_touch_updated_at BEFORE UPDATE ON auth.sessions FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger sessions_touch_updated_at on auth.sessions is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  insert,
  select,
  update on auth.sessions to rowhouse_auth;

-- auth.trusted_devices

create table auth.trusted_devices (
  id uuid default app.new_id() not null,
  user_id uuid not null,
  token_hash bytea not null,
  second_factor_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  user_agent text,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint trusted_devices_pkey PRIMARY KEY (id),
  constraint trusted_devices_token_hash_key UNIQUE (token_hash),
  constraint trusted_devices_token_hash_check CHECK ((octet_length(token_hash) = 32))
);
comment on table auth.trusted_devices is 'Browsers that gave a second factor and are not asked for it again until they expire; the cookie''s value is stored hashed.';

CREATE INDEX trusted_devices_expires_at_idx ON auth.trusted_devices USING btree (expires_at);

CREATE INDEX trusted_devices_user_id_idx ON auth.trusted_devices USING btree (user_id);

alter table auth.trusted_devices enable row level security;

create policy all_auth on auth.trusted_devices
  for all to rowhouse_auth
  using (true)
  with check (true);

CREATE TRIGGER trusted_devices_touch_updated_at BEFORE UPDATE ON auth.trusted_devices FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger trusted_devices_touch_updated_at on auth.trusted_devices is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  insert,
  select,
  update on auth.trusted_devices to rowhouse_auth;

-- auth.two_factors

create table auth.two_factors (
  id uuid default app.new_id() not null,
  user_id uuid not null,
  secret text not null,
  backup_codes text not null,
  verified boolean default true not null,
  failed_verification_count integer default 0 not null,
  locked_until timestamp with time zone,
  last_used_step bigint default 0 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint two_factors_pkey PRIMARY KEY (id),
  constraint two_factors_user_id_key UNIQUE (user_id)
);
comment on table auth.two_factors is 'Second factors: an encrypted TOTP secret and backup codes a user.';
comment on column auth.two_factors.last_used_step is 'The newest 30-second step whose code was used: this one and all before it are spent.';

alter table auth.two_factors enable row level security;

create policy all_auth on auth.two_factors
  for all to rowhouse_auth
  using (true)
  with check (true);

CREATE TRIGGER two_factors_touch_updated_at BEFORE UPDATE ON auth.two_factors FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger two_factors_touch_updated_at on auth.two_factors is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  insert,
  select,
  update on auth.two_factors to rowhouse_auth;

-- auth.users

create table auth.users (
  id uuid default app.new_id() not null,
  name text not null,
  email text not null,
  email_verified boolean default false not null,
  image text,
  two_factor_enabled boolean default false not null,
  removed_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_email_key UNIQUE (email),
  constraint users_email_check CHECK (((char_length(email) <= 254) AND (email = lower(email)) AND (email !~ '[\u0001-\u0020\u007f-\u00a0]'::text))),
  constraint users_image_check CHECK (((char_length(image) <= 2048) AND (image ~* '^https?://[^\u0001-\u0020\u007f]+$'::text))),
  constraint users_name_check CHECK (((char_length(name) <= 100) AND (btrim(name) <> ''::text) AND (name !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]'::text)))
);
comment on table auth.users is 'People who can sign in.';
comment on column auth.users.removed_at is 'When the user was removed. Nobody signs in as them or sees them from then on; their rows are deleted in batches, this one last.';

CREATE INDEX users_removed_idx ON auth.users USING btree (id) WHERE (removed_at IS NOT NULL);

alter table auth.users enable row level security;

create policy all_auth on auth.users
  for all to rowhouse_auth
  using ((removed_at IS NULL))
  with check ((removed_at IS NULL));

create policy select_known on auth.users
  for select to rowhouse_api
  using ((id = ANY (( SELECT app.known_user_ids() AS known_user_ids)::uuid[])));

CREATE TRIGGER users_close_account BEFORE DELETE ON auth.users FOR EACH ROW EXECUTE FUNCTION app.close_account_instead();
comment on trigger users_close_account on auth.users is 'Removes a user whose row is deleted: hides them, ends their credentials, and leaves their rows to batches.

A deletion takes effect at once, whoever deletes the user and however many rows the user has, and it always finishes.';

CREATE TRIGGER users_end_pending_proofs AFTER UPDATE OF email ON auth.users FOR EACH ROW WHEN ((old.email IS DISTINCT FROM new.email)) EXECUTE FUNCTION auth.end_pending_proofs();
comment on trigger users_end_pending_proofs on auth.users is 'Ends a user''s reset links and sign-in challenges when the mail address changes.

Whoever reads the old mailbox has no say in the account any more.';

CREATE TRIGGER users_follow_two_factor AFTER UPDATE OF two_factor_enabled ON auth.users FOR EACH ROW WHEN ((old.two_factor_enabled IS DISTINCT FROM new.two_factor_enabled)) EXECUTE FUNCTION auth.follow_two_factor();
comment on trigger users_follow_two_factor on auth.users is 'Ends what was signed in without the second factor, or was trusted, when it is switched on or off.

Switching the factor on must not leave a door open that was opened without it.';

CREATE TRIGGER users_touch_updated_at BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger users_touch_updated_at on auth.users is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant select (id, name, image) on auth.users to rowhouse_api;
grant delete,
  insert,
  select,
  update on auth.users to rowhouse_auth;

-- auth.verifications

create table auth.verifications (
  id uuid default app.new_id() not null,
  user_id uuid,
  identifier text not null,
  value text not null,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint verifications_pkey PRIMARY KEY (id)
);
comment on table auth.verifications is 'Pending password resets, mail verifications and sign-in states; identifiers are hashed.';
comment on column auth.verifications.user_id is 'Whose reset link or sign-in challenge it is; it ends with their next password or mail address. Null for anything else.';

CREATE INDEX verifications_expires_at_idx ON auth.verifications USING btree (expires_at);

CREATE INDEX verifications_identifier_idx ON auth.verifications USING btree (identifier);

CREATE INDEX verifications_user_id_idx ON auth.verifications USING btree (user_id);

alter table auth.verifications enable row level security;

create policy all_auth on auth.verifications
  for all to rowhouse_auth
  using (true)
  with check (true);

CREATE TRIGGER verifications_touch_updated_at BEFORE UPDATE ON auth.verifications FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
comment on trigger verifications_touch_updated_at on auth.verifications is 'Sets updated_at to the time of the change.

No statement can forget it, or set it to something else.';

grant delete,
  insert,
  select,
  update on auth.verifications to rowhouse_auth;

CREATE OR REPLACE FUNCTION app.cancel_approval(p_id uuid)
 RETURNS SETOF app.approvals
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_user_id();
  requester uuid;
  approval app.approvals;
begin
  select a.user_id into requester
  from app.approvals a
  where a.id = p_id and a.deletion_id is null
    and not exists (select from auth.users u where u.id = a.user_id and u.removed_at is not null)
    and (a.user_id = caller or a.organization_id = any (app.member_organization_ids()));
  if not found then
    return;
  end if;
  if requester <> caller then
    perform app.refuse('role_too_low', 'only who requested it may cancel an approval');
  end if;
  approval := app.lock_approval(caller, p_id);
  if approval.id is null or approval.deletion_id is not null then
    return;
  end if;
  if approval.status <> 'pending' then
    perform app.refuse('already_decided', format('approval "%s" is %s already', p_id, approval.status));
  end if;
  return next app.settle_approval(approval, 'cancelled', null, null);
end
$function$;
comment on function app.cancel_approval(uuid) is 'Takes a pending approval of the caller''s back. Its tool call waits for another one.';
revoke all on function app.cancel_approval(uuid) from public;
grant execute on function app.cancel_approval(uuid) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.decide_approval(p_id uuid, p_decision text, p_note text, p_payload_hash bytea)
 RETURNS SETOF app.approvals
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  caller uuid := app.current_user_id();
  target record;
  approval app.approvals;
  role text;
begin
  select a.user_id, a.organization_id into target
  from app.approvals a
  where a.id = p_id and a.deletion_id is null
    and not exists (select from auth.users u where u.id = a.user_id and u.removed_at is not null)
    and (a.user_id = caller or a.organization_id = any (app.member_organization_ids()));
  if not found then
    return;
  end if;
  if target.organization_id is not null then
    -- Whoever is removed or lowered meanwhile decides nothing any more.
    perform from auth.organizations o where o.id = target.organization_id for share;
    select m.role into role from auth.members m
    where m.organization_id = target.organization_id and m.user_id = caller
      and m.organization_id = any (app.member_organization_ids());
    if role is null and target.user_id <> caller then
      return;
    end if;
    if role is null or role = 'member' then
      perform app.refuse('role_too_low', 'only the organization''s owners and admins may decide');
    end if;
    if target.user_id = caller and not (
      select o.allow_self_approval from auth.organizations o where o.id = target.organization_id
    ) then
      perform app.refuse('role_too_low', 'nobody decides their own request here: another owner or admin does');
    end if;
  end if;
  -- A program that asks must not be able to answer.
  if target.user_id = caller and app.current_session_user_id() is null then
    perform app.refuse('missing_scope', 'one''s own request is decided when signed in, not by an API token');
  end if;

  approval := app.lock_approval(target.user_id, p_id);
  if approval.id is null or approval.deletion_id is not null then
    return;
  end if;
  if approval.status <> 'pending' then
    perform app.refuse('already_decided', format('approval "%s" is %s already', p_id, approval.status));
  end if;
  if approval.expires_at <= clock_timestamp() then
    return next app.settle_approval(approval, 'expired', null, null);
    return;
  end if;
  if p_payload_hash is distinct from approval.payload_hash or approval.tool_call_id is not null and not exists (
    select from app.tool_calls c
    where c.user_id = approval.user_id and c.id = approval.tool_call_id
      and c.tool = approval.tool and c.arguments = approval.arguments and c.arguments_hash = approval.payload_hash
  ) then
    return next app.settle_approval(approval, 'cancelled', null, 'what was to be approved has changed');
    return;
  end if;
  return next app.settle_approval(
    approval, case p_decision when 'approve' then 'approved' else 'rejected' end, caller, p_note
  );
end
$function$;
comment on function app.decide_approval(uuid, text, text, bytea) is 'Approves or rejects a pending approval, as one who may, and moves its tool call. What has expired becomes expired, and what is not what was asked for any more becomes cancelled. Nothing where the caller knows of no such approval.';
revoke all on function app.decide_approval(uuid, text, text, bytea) from public;
grant execute on function app.decide_approval(uuid, text, text, bytea) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.erase_dependents(p_job app.erasures, p_limit integer, OUT step text, OUT "position" jsonb, OUT erased integer)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  key_columns text[] := array(select jsonb_object_keys(p_job.key));
  is_slow boolean := exists (select from app.slow_references() s where s.parent = p_job.parent::regclass);
  target record;
  own_key text;
  chosen_key text;
  condition text;
  place text;
  behind text;
  wanted integer;
  chosen integer;
begin
  erased := 0;
  step := p_job.step;
  "position" := p_job.position;
  for target in
    with steps as materialized (
      select * from app.erasure_steps(p_job.parent::regclass, key_columns)
        with ordinality s (step, target, key, columns, cleared, place, place_types, n)
    )
    -- From the beginning where a migration has taken the step away meanwhile.
    select * from steps where n >= coalesce((select n from steps where steps.step = p_job.step), 1) order by n
  loop
    if target.step is distinct from step then
      step := target.step;
      "position" := null;
    end if;
    wanted := p_limit - erased;
    select string_agg(format('t.%I = %L', c.name, p_job.key ->> key_columns[c.n]), ' and ')
    into condition
    from unnest(target.columns) with ordinality c (name, n);
    if is_slow then
      condition := condition || format(' and t.created_at <= %L', p_job.created_at);
    end if;
    select
      string_agg(format('t.%I', c.name), ', ' order by c.n),
      string_agg(format('c.%I', c.name), ', ' order by c.n)
    into own_key, chosen_key
    from unnest(target.key) with ordinality c (name, n);
    select
      string_agg(format('t.%I', c.name), ', ' order by c.n),
      string_agg(format('%L::%s', "position" ->> (c.n - 1)::integer, target.place_types[c.n]), ', ' order by c.n)
    into place, behind
    from unnest(target.place) with ordinality c (name, n);
    -- The condition once more: of a row that somebody changes at this moment, the new version counts. "is
    -- true" keeps it from being looked up instead of the key.
    execute format(
      'with chosen as materialized (select %s from %s t where %s %s %s limit %s), changed as (%s returning 1)
       select (select count(*) from chosen), %s, (select count(*) from changed)',
      own_key, target.target, condition,
      case when "position" is not null then format('and (%s) > (%s)', place, behind) end,
      'order by ' || place, wanted,
      case
        when target.cleared is null then format(
          'delete from %s t using chosen c where (%s) = (%s) and (%s) is true', target.target, own_key, chosen_key, condition
        )
        else format(
          'update %s t set %s from chosen c where (%s) = (%s) and (%s) is true', target.target,
          (select string_agg(format('%I = null', name), ', ') from unnest(target.cleared) name),
          own_key, chosen_key, condition
        )
      end,
      case
        when place is null then 'null::jsonb'
        else format('(select jsonb_build_array(%s) from chosen t offset %s)', place, wanted - 1)
      end
    ) into chosen, "position";
    erased := erased + chosen;
    exit when chosen >= wanted;
  end loop;
  if erased < p_limit and not is_slow then
    -- What came in while the removal itself committed goes along by cascade. Of what has no foreign key the
    -- row itself went first, and may be there anew.
    execute format(
      'delete from %s t where %s', p_job.parent::regclass,
      (select string_agg(format('t.%I = %L', name, p_job.key ->> name), ' and ') from unnest(key_columns) name)
    );
  end if;
end
$function$;
comment on function app.erase_dependents(app.erasures, integer) is 'Deletes up to p_limit of the rows that depend on a removed row, and once none is left, the row itself; returns where the next batch begins.';
revoke all on function app.erase_dependents(app.erasures, integer) from public;

CREATE OR REPLACE FUNCTION app.is_live(p_token app.api_tokens)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (((p_token).revoked_at IS NULL) AND (((p_token).expires_at IS NULL) OR ((p_token).expires_at > now())) AND (((p_token).grace_until IS NULL) OR ((p_token).grace_until > now())) AND ((p_token).deletion_id IS NULL));
comment on function app.is_live(app.api_tokens) is 'Whether an API token signs in: not revoked, not expired, not replaced for longer than its grace, and no removed organization''s.';
revoke all on function app.is_live(app.api_tokens) from public;

CREATE OR REPLACE FUNCTION app.keep_keyring_check(p_value text, p_key_ids text[])
 RETURNS SETOF app.keyring_checks
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
comment on function app.keep_keyring_check(text, text[]) is 'Keeps the check value of a key that has none, unless its holder lacks another key in use; returns all check values.';
revoke all on function app.keep_keyring_check(text, text[]) from public;
grant execute on function app.keep_keyring_check(text, text[]) to rowhouse_system;

CREATE OR REPLACE FUNCTION app.lock_approval(p_user_id uuid, p_id uuid)
 RETURNS app.approvals
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  approval app.approvals;
begin
  perform from app.tool_calls c
  where c.user_id = p_user_id
    and c.id = (select a.tool_call_id from app.approvals a where a.user_id = p_user_id and a.id = p_id)
  for no key update;
  select * into approval from app.approvals a where a.user_id = p_user_id and a.id = p_id for update;
  return approval;
end
$function$;
comment on function app.lock_approval(uuid, uuid) is 'Locks an approval''s tool call, and then the approval, as it is under the locks.';
revoke all on function app.lock_approval(uuid, uuid) from public;

CREATE OR REPLACE FUNCTION app.request_approval(p_kind text, p_title text, p_payload jsonb, p_payload_hash bytea, p_priority integer, p_tool_call_id uuid, p_organization_id uuid, p_expires_at timestamp with time zone)
 RETURNS SETOF app.approvals
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  owner uuid := app.current_owner_id();
  is_leased boolean := app.holds_lease();
  task uuid := app.leased_task_id();
  call app.tool_calls;
  organization uuid;
  task_organization uuid;
  locked record;
  seq integer;
begin
  if owner is null then
    -- Signed in with the statement, and over since.
    if is_leased then
      raise exception 'lease_lost' using errcode = 'RH409';
    end if;
    perform app.refuse('unauthenticated', 'sign in, or present a valid credential');
  end if;
  if p_tool_call_id is not null then
    select r.task_id into task
    from app.tool_calls c
    join app.agent_runs r on r.user_id = c.user_id and r.id = c.run_id
    where c.user_id = owner and c.id = p_tool_call_id
      and case when is_leased then r.task_id = app.leased_task_id() else true end;
    if not found then
      perform app.refuse('not_found', 'tool call not found');
    end if;
  end if;
  select t.organization_id into task_organization from app.tasks t where t.user_id = owner and t.id = task;
  organization := coalesce(p_organization_id, task_organization, app.current_organization_id());
  if organization is not null then
    if is_leased and organization is distinct from task_organization
      or not is_leased and organization <> all (app.member_organization_ids()) then
      perform app.refuse('not_found', 'organization not found');
    end if;
    if organization is distinct from task_organization and task_organization is not null then
      perform app.refuse('invalid_input', 'the task belongs to another organization');
    end if;
    perform from auth.organizations o where o.id = organization and o.deleted_at is null for share;
    -- In a statement of its own: the one that waits for the lock sees members as they were before.
    if not found or not exists (
      select from auth.members m where m.organization_id = organization and m.user_id = owner
    ) then
      perform app.refuse('not_found', 'organization not found');
    end if;
  end if;
  if task is not null then
    select t.organization_id, t.lease_id, t.deleted_at into locked
    from app.tasks t where t.user_id = owner and t.id = task
    for share;
    if is_leased and locked.lease_id is distinct from app.leased_id() then
      raise exception 'lease_lost' using errcode = 'RH409';
    end if;
    if locked.deleted_at is not null then
      perform app.refuse('not_found', 'tool call not found');
    end if;
    if locked.organization_id is distinct from task_organization then
      raise exception 'the task changed its organization' using errcode = 'serialization_failure';
    end if;
  end if;
  if p_expires_at <= clock_timestamp() then
    perform app.refuse('invalid_input', 'the time at which it expires is over');
  end if;
  if p_tool_call_id is not null then
    select * into call from app.tool_calls c where c.user_id = owner and c.id = p_tool_call_id for no key update;
    if call.status <> 'awaiting_approval' then
      perform app.refuse(
        'illegal_transition', format('tool call "%s" is %s: it awaits no approval', p_tool_call_id, call.status)
      );
    end if;
    return query
      select * from app.approvals a
      where a.user_id = owner and a.tool_call_id = p_tool_call_id and a.status = 'pending';
    if found then
      return;
    end if;
  end if;
  seq := app.next_approval_seq(owner);
  return query
    insert into app.approvals (
      user_id, organization_id, task_id, tool_call_id, kind, title, payload, tool, arguments, payload_hash, priority,
      requested_by, expires_at, event_seq, organization_event_seq
    )
    values (
      owner, organization, task, p_tool_call_id, p_kind, p_title, p_payload, call.tool, call.arguments,
      coalesce(call.arguments_hash, p_payload_hash), p_priority,
      case
        when is_leased then 'lease'
        when app.current_session_user_id() is not null then 'session'
        else 'token'
      end,
      p_expires_at, seq, app.next_organization_approval_seq(organization)
    )
    returning *;
end
$function$;
comment on function app.request_approval(text, text, jsonb, bytea, integer, uuid, uuid, timestamp with time zone) is 'Asks for an approval as the caller, or under a lease as its task''s owner, in the organization that is named, the task''s, or the one in which the caller acts. For a tool call that has a pending approval, that one.';
revoke all on function app.request_approval(text, text, jsonb, bytea, integer, uuid, uuid, timestamp with time zone) from public;
grant execute on function app.request_approval(text, text, jsonb, bytea, integer, uuid, uuid, timestamp with time zone) to rowhouse_api;

CREATE OR REPLACE FUNCTION app.settle_approval(p_approval app.approvals, p_status text, p_decided_by uuid, p_note text)
 RETURNS app.approvals
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  settled app.approvals;
  seq integer;
begin
  update app.tool_calls c
  set
    status = case when p_status = 'approved' then 'running' else 'denied' end,
    started_at = case when p_status = 'approved' then now() end,
    finished_at = case when p_status <> 'approved' then now() end,
    error = case p_status when 'rejected' then 'the approval was rejected' when 'expired' then 'the approval expired' end
  where p_status in ('approved', 'rejected', 'expired')
    and c.user_id = p_approval.user_id and c.id = p_approval.tool_call_id and c.status = 'awaiting_approval';
  seq := app.next_approval_seq(p_approval.user_id);
  update app.approvals a
  set
    status = p_status,
    decided_by = p_decided_by,
    decided_at = now(),
    note = p_note,
    event_seq = seq,
    organization_event_seq = app.next_organization_approval_seq(a.organization_id)
  where a.user_id = p_approval.user_id and a.id = p_approval.id
  returning * into settled;
  return settled;
end
$function$;
comment on function app.settle_approval(app.approvals, text, uuid, text) is 'Ends a pending approval that its caller has locked: approved lets its tool call run, rejected and expired deny it, and cancelled leaves it waiting.';
revoke all on function app.settle_approval(app.approvals, text, uuid, text) from public;

alter table app.agent_runs add constraint agent_runs_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;
alter table app.agent_runs add constraint agent_runs_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;

alter table app.ai_provider_configs add constraint ai_provider_configs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

alter table app.api_tokens add constraint api_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;
alter table app.api_tokens add constraint api_tokens_user_id_replaced_by_fkey FOREIGN KEY (user_id, replaced_by) REFERENCES app.api_tokens(user_id, id) ON DELETE SET NULL (replaced_by);

alter table app.approval_sequences add constraint approval_sequences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.approvals add constraint approvals_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES auth.users(id) ON DELETE SET NULL;
alter table app.approvals add constraint approvals_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;
alter table app.approvals add constraint approvals_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;
alter table app.approvals add constraint approvals_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;
alter table app.approvals add constraint approvals_user_id_tool_call_id_fkey FOREIGN KEY (user_id, tool_call_id) REFERENCES app.tool_calls(user_id, id) ON DELETE CASCADE;

alter table app.connections add constraint connections_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.connectors add constraint connectors_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.content add constraint content_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;
alter table app.content add constraint content_user_id_media_item_id_fkey FOREIGN KEY (user_id, media_item_id) REFERENCES app.media_items(user_id, id) ON DELETE SET NULL (media_item_id);

alter table app.daily_usage add constraint daily_usage_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.media_items add constraint media_items_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.oauth_states add constraint oauth_states_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;
alter table app.oauth_states add constraint oauth_states_user_id_session_id_fkey FOREIGN KEY (user_id, session_id) REFERENCES auth.sessions(user_id, id) ON DELETE CASCADE;

alter table app.organization_approval_sequences add constraint organization_approval_sequences_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

alter table app.provider_keys add constraint provider_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.settings add constraint settings_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.task_connectors add constraint task_connectors_user_id_connector_id_fkey FOREIGN KEY (user_id, connector_id) REFERENCES app.connectors(user_id, id) ON DELETE CASCADE;
alter table app.task_connectors add constraint task_connectors_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;

alter table app.task_events add constraint task_events_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;
alter table app.task_events add constraint task_events_user_id_task_id_message_id_fkey FOREIGN KEY (user_id, task_id, message_id) REFERENCES app.task_messages(user_id, task_id, id) ON DELETE CASCADE;

alter table app.task_keys add constraint task_keys_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;

alter table app.task_leases add constraint task_leases_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;

alter table app.task_logs add constraint task_logs_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;

alter table app.task_message_deltas add constraint task_message_deltas_user_id_message_id_fkey FOREIGN KEY (user_id, message_id) REFERENCES app.task_messages(user_id, id) ON DELETE CASCADE;

alter table app.task_messages add constraint task_messages_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES app.tasks(user_id, id) ON DELETE CASCADE;

alter table app.tasks add constraint tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.tool_calls add constraint tool_calls_user_id_run_id_fkey FOREIGN KEY (user_id, run_id) REFERENCES app.agent_runs(user_id, id) ON DELETE CASCADE;

alter table app.user_tools add constraint user_tools_tool_id_fkey FOREIGN KEY (tool_id) REFERENCES app.tools(id) ON DELETE CASCADE;
alter table app.user_tools add constraint user_tools_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table app.webhook_events add constraint webhook_events_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES app.webhook_deliveries(id) ON DELETE CASCADE;
alter table app.webhook_events add constraint webhook_events_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table auth.accounts add constraint accounts_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table auth.invitations add constraint invitations_inviter_id_fkey FOREIGN KEY (inviter_id) REFERENCES auth.users(id) ON DELETE CASCADE;
alter table auth.invitations add constraint invitations_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

alter table auth.members add constraint members_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;
alter table auth.members add constraint members_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table auth.sessions add constraint sessions_active_organization_id_fkey FOREIGN KEY (active_organization_id) REFERENCES auth.organizations(id) ON DELETE SET NULL;
alter table auth.sessions add constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table auth.trusted_devices add constraint trusted_devices_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table auth.two_factors add constraint two_factors_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

alter table auth.verifications add constraint verifications_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

create policy insert_lease on app.task_message_deltas
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (EXISTS ( SELECT
   FROM app.task_messages m
  WHERE ((m.user_id = task_message_deltas.user_id) AND (m.id = task_message_deltas.message_id) AND (m.role = 'agent'::text))))));
create policy select_owner on app.task_message_deltas
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (EXISTS ( SELECT
       FROM app.task_messages m
      WHERE ((m.user_id = task_message_deltas.user_id) AND (m.id = task_message_deltas.message_id))))
    ELSE true
END));

create policy insert_lease on app.tool_calls
  for insert to rowhouse_api
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (EXISTS ( SELECT
   FROM app.agent_runs r
  WHERE ((r.user_id = tool_calls.user_id) AND (r.id = tool_calls.run_id))))));
create policy select_owner on app.tool_calls
  for select to rowhouse_api
  using (((user_id = ( SELECT app.current_owner_id() AS current_owner_id)) AND
CASE
    WHEN ( SELECT app.holds_lease() AS holds_lease) THEN (EXISTS ( SELECT
       FROM app.agent_runs r
      WHERE ((r.user_id = tool_calls.user_id) AND (r.id = tool_calls.run_id))))
    ELSE true
END));
create policy update_lease on app.tool_calls
  for update to rowhouse_api
  using (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (EXISTS ( SELECT
   FROM app.agent_runs r
  WHERE ((r.user_id = tool_calls.user_id) AND (r.id = tool_calls.run_id))))))
  with check (((user_id = ( SELECT app.leased_user_id() AS leased_user_id)) AND (EXISTS ( SELECT
   FROM app.agent_runs r
  WHERE ((r.user_id = tool_calls.user_id) AND (r.id = tool_calls.run_id))))));

create policy all_auth on auth.invitations
  for all to rowhouse_auth
  using ((EXISTS ( SELECT
   FROM auth.organizations o
  WHERE (o.id = invitations.organization_id))))
  with check ((EXISTS ( SELECT
   FROM auth.organizations o
  WHERE (o.id = invitations.organization_id))));

create policy all_auth on auth.members
  for all to rowhouse_auth
  using ((EXISTS ( SELECT
   FROM auth.organizations o
  WHERE (o.id = members.organization_id))))
  with check ((EXISTS ( SELECT
   FROM auth.organizations o
  WHERE (o.id = members.organization_id))));

alter default privileges revoke all on functions from public;
