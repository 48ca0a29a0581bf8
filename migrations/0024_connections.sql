-- Connections to users' accounts elsewhere (Notion, GitHub, Slack, Linear), and the states of connect flows
-- under way.
--
-- A connection's tokens are sealed. A refresh is made once however many ask for it: whoever moves
-- refresh_claimed_until calls the provider, outside of any transaction, and stores the outcome while the
-- claim is still theirs; the others wait for the version to change. A claim lapses, so that one who died with
-- it stops nobody. It is a random id, and whoever knows it stores the new tokens through
-- app.store_refreshed_tokens, also when the session that the refresh began under has ended meanwhile: the
-- provider has ended the old tokens, so they would be lost.
--
-- Which account a connection is to decides whose webhooks its user reads. So the API's login may neither make
-- one nor say which it is: app.store_connection does, for the system's login, with the session's credential
-- to say for whom.
--
-- A state belongs to the session that it was made under, is taken once and ends after ten minutes. What is
-- stored is its hash, and nobody reads it: app.take_oauth_state deletes and returns the caller's own.

-- migrate:up

create table app.connections (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  organization_id uuid,
  provider app.connection_provider not null,
  external_id text not null,
  name text not null,
  icon text,
  scopes text[] not null default '{}',
  access_token app.envelope,
  refresh_token app.envelope,
  expires_at timestamptz,
  bot_id text,
  settings jsonb not null default '{}',
  status text not null default 'active',
  token_version integer not null default 0,
  refresh_claim uuid,
  refresh_claimed_until timestamptz,
  connected_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint connections_pkey primary key (user_id, id),
  constraint connections_user_id_provider_external_id_key unique (user_id, provider, external_id),
  constraint connections_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint connections_status_check check (status in ('active', 'revoked', 'error')),
  constraint connections_external_id_check check (length(external_id) between 1 and 200),
  constraint connections_settings_check check (jsonb_typeof(settings) = 'object')
);
comment on table app.connections is 'A user''s accounts elsewhere, with the tokens that act for them there.';
comment on column app.connections.external_id is
  'The workspace, installation, team or organization as the provider names it; what its webhooks name.';
comment on column app.connections.access_token is 'Null once it is revoked.';
comment on column app.connections.token_version is
  'Counts the tokens that were stored here; a sealed value changes with its key.';
comment on column app.connections.refresh_claim is
  'Who may store the outcome of the refresh under way. New tokens end it.';
comment on column app.connections.connected_at is 'When its user last went through the provider''s consent.';
create unique index connections_user_id_notion_key on app.connections (user_id) where provider = 'notion';
create index connections_provider_external_id_idx on app.connections (provider, external_id);
create index connections_organization_id_user_id_idx on app.connections (organization_id, user_id);

alter table app.connections enable row level security;
create policy select_owner on app.connections for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
-- An access that has ended comes back by its user's consent alone.
create policy update_owner on app.connections for update to rowhouse_api
  using (user_id = (select app.current_user_id()) and status <> 'revoked')
  with check (user_id = (select app.current_user_id()));
create policy delete_owner on app.connections for delete to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant
  select,
  update (access_token, refresh_token, settings, status, token_version, refresh_claim, refresh_claimed_until),
  delete
on app.connections to rowhouse_api;

create trigger connections_touch_updated_at before update on app.connections
  for each row execute function app.touch_updated_at();
comment on trigger connections_touch_updated_at on app.connections is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';
create trigger connections_require_membership after insert or update of organization_id on app.connections
  for each row when (new.organization_id is not null) execute function app.require_membership();
comment on trigger connections_require_membership on app.connections is
  E'Refuses a row that names an organization to which its owner does not belong.\n\n'
  'Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';
create trigger connections_follow_in_batches after delete on app.connections
  for each row execute function app.follow_in_batches('user_id', 'id');
comment on trigger connections_follow_in_batches on app.connections is
  E'Deletes the webhook events of a removed connection.\n\n'
  'A connection with years of events can be removed as fast as any other.';

create function app.store_connection(
  p_credential text,
  p_id uuid,
  p_provider text,
  p_before text,
  p_external_id text,
  p_name text,
  p_icon text,
  p_scopes text[],
  p_bot_id text,
  p_settings jsonb,
  p_access_token text,
  p_refresh_token text,
  p_expires_at timestamptz
)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.store_connection(
  text, uuid, text, text, text, text, text, text[], text, jsonb, text, text, timestamptz
) is
  'Keeps what the consent of this session''s user led to: anew, or in place of what they had of the account '
  'p_before. False where that is gone.';

create function app.store_refreshed_tokens(
  p_user uuid,
  p_id uuid,
  p_claim uuid,
  p_access_token text,
  p_refresh_token text,
  p_expires_at timestamptz
)
returns integer
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  update app.connections c
  set
    access_token = p_access_token, refresh_token = p_refresh_token, expires_at = p_expires_at, status = 'active',
    token_version = c.token_version + 1, refresh_claim = null, refresh_claimed_until = null
  where c.user_id = p_user and c.id = p_id and c.refresh_claim = p_claim and c.status <> 'revoked'
  returning c.token_version
$$;
comment on function app.store_refreshed_tokens(uuid, uuid, uuid, text, text, timestamptz) is
  'Stores what a refresh led to for whoever claimed it, and returns the version; null once the claim is '
  'another''s, or the tokens are.';

create function app.is_account_connected(p_provider text, p_external_id text) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from app.connections c
    where c.provider = p_provider and c.external_id = p_external_id and c.status <> 'revoked'
      and not exists (select from auth.users u where u.id = c.user_id and u.removed_at is not null)
  )
$$;
comment on function app.is_account_connected(text, text) is
  'Whether anybody is connected to the account, whose access would end with it.';

create table app.oauth_states (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  session_id uuid not null default app.current_session_id(),
  state_hash bytea not null,
  provider app.connection_provider not null,
  code_verifier app.envelope,
  return_to text not null,
  expires_at timestamptz not null default now() + interval '10 minutes',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint oauth_states_pkey primary key (user_id, id),
  constraint oauth_states_state_hash_key unique (state_hash),
  constraint oauth_states_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint oauth_states_user_id_session_id_fkey foreign key (user_id, session_id)
    references auth.sessions (user_id, id) on delete cascade,
  constraint oauth_states_state_hash_check check (octet_length(state_hash) = 32)
);
comment on table app.oauth_states is
  'Connect flows that a browser has begun: taken once, by the session that began them.';
create index oauth_states_user_id_session_id_idx on app.oauth_states (user_id, session_id);
create index oauth_states_expires_at_idx on app.oauth_states (expires_at);

alter table app.oauth_states enable row level security;
create policy select_session on app.oauth_states for select to rowhouse_api
  using (user_id = (select app.current_session_user_id()) and session_id = (select app.current_session_id()));
create policy insert_session on app.oauth_states for insert to rowhouse_api
  with check (user_id = (select app.current_session_user_id()) and session_id = (select app.current_session_id()));
grant
  select (user_id, id, session_id, provider, return_to, expires_at, created_at, updated_at),
  insert (id, state_hash, provider, code_verifier, return_to)
on app.oauth_states to rowhouse_api;

create trigger oauth_states_touch_updated_at before update on app.oauth_states
  for each row execute function app.touch_updated_at();
comment on trigger oauth_states_touch_updated_at on app.oauth_states is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.take_oauth_state(p_state_hash bytea)
returns table (user_id uuid, id uuid, provider text, code_verifier text, return_to text, is_expired boolean)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from app.oauth_states s
  where s.state_hash = p_state_hash
    and s.user_id = app.current_session_user_id()
    and s.session_id = app.current_session_id()
  returning s.user_id, s.id, s.provider, s.code_verifier::text, s.return_to, s.expires_at <= now()
$$;
comment on function app.take_oauth_state(bytea) is
  'Takes a state away from the session that it was made under, and tells what it was for; nothing for '
  'anybody else.';

create function app.sweep_oauth_states() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.sweep_oauth_states() is
  'Removes states that nobody came back with, at most a thousand, and returns how many.';

grant execute on function app.take_oauth_state to rowhouse_api;
grant execute on function
  app.store_connection, app.store_refreshed_tokens, app.is_account_connected, app.sweep_oauth_states
to rowhouse_system;

-- migrate:down

drop table app.oauth_states, app.connections;
drop function
  app.store_connection, app.store_refreshed_tokens, app.is_account_connected, app.take_oauth_state,
  app.sweep_oauth_states;
