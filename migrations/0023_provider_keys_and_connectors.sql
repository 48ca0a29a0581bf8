-- Keys of AI providers, MCP servers, and which of them a task may use.
--
-- Secrets are stored as envelopes of the application's keyring, bound to table, column, owner and row; the
-- database never sees what is in them. To a lease these tables are closed. What a worker needs comes through
-- app.open_task_secrets, which gives the envelopes of what the lease's own task names, and only where the
-- lease was claimed by somebody who may read keys: a token with keys:reveal, a session, or the operator's
-- worker.

-- migrate:up

create table app.provider_keys (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  provider text not null,
  value app.envelope not null,
  hint text not null,
  last_used_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint provider_keys_pkey primary key (user_id, id),
  constraint provider_keys_user_id_provider_key unique (user_id, provider),
  constraint provider_keys_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint provider_keys_provider_check
    check (provider in ('anthropic', 'openai', 'cursor', 'gemini', 'aigateway')),
  constraint provider_keys_hint_check check (length(hint) <= 4)
);
comment on table app.provider_keys is 'A user''s keys to AI providers, one a provider, sealed.';
comment on column app.provider_keys.hint is 'The key''s last characters, by which its owner recognises it.';
comment on column app.provider_keys.last_used_at is
  'When the key was last revealed, to its owner or to a worker.';

alter table app.provider_keys enable row level security;
create policy select_owner on app.provider_keys for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.provider_keys for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.provider_keys for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy delete_owner on app.provider_keys for delete to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant
  select,
  insert (id, provider, value, hint),
  update (id, value, hint, last_used_at),
  delete
on app.provider_keys to rowhouse_api;

-- A new key comes with its hint; reading one, or sealing it anew, is no change of the user's.
create trigger provider_keys_touch_updated_at before update of hint on app.provider_keys
  for each row execute function app.touch_updated_at();
comment on trigger provider_keys_touch_updated_at on app.provider_keys is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.connectors (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  name text not null,
  kind text not null,
  command text,
  args text[] not null default '{}',
  url text,
  env app.envelope,
  headers app.envelope,
  oauth_client_id app.envelope,
  oauth_client_secret app.envelope,
  status text not null default 'disconnected',
  last_checked_at timestamptz,
  last_error text,
  tools jsonb not null default '[]',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint connectors_pkey primary key (user_id, id),
  constraint connectors_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint connectors_kind_check check (kind in ('local', 'remote')),
  constraint connectors_status_check check (status in ('connected', 'disconnected')),
  constraint connectors_target_check check (
    case kind
      when 'local' then command is not null and url is null
      when 'remote' then url is not null and command is null and args = '{}'
    end
  )
);
comment on table app.connectors is 'A user''s MCP servers: a command to run or an address to call.';
comment on column app.connectors.env is 'Variables for a command, as a sealed JSON object.';
comment on column app.connectors.headers is 'Headers for an address, as a sealed JSON object.';
comment on column app.connectors.tools is 'The tools that the server listed when it was last checked.';

alter table app.connectors enable row level security;
create policy select_owner on app.connectors for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.connectors for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.connectors for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy delete_owner on app.connectors for delete to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant
  select,
  insert (id, name, kind, command, args, url, env, headers, oauth_client_id, oauth_client_secret),
  update (
    name, command, args, url, env, headers, oauth_client_id, oauth_client_secret, status, last_checked_at, last_error, tools
  ),
  delete
on app.connectors to rowhouse_api;

create trigger connectors_touch_updated_at before update on app.connectors
  for each row execute function app.touch_updated_at();
comment on trigger connectors_touch_updated_at on app.connectors is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.task_connectors (
  user_id uuid not null default app.current_owner_id(),
  task_id uuid not null,
  connector_id uuid not null,
  created_at timestamptz not null default now(),
  constraint task_connectors_pkey primary key (user_id, task_id, connector_id),
  constraint task_connectors_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_connectors_user_id_connector_id_fkey foreign key (user_id, connector_id)
    references app.connectors (user_id, id) on delete cascade
);
comment on table app.task_connectors is 'Which connectors a task may use.';
create index task_connectors_user_id_connector_id_idx on app.task_connectors (user_id, connector_id);

alter table app.task_connectors enable row level security;
create policy select_owner on app.task_connectors for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.task_connectors for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
grant select, insert (task_id, connector_id) on app.task_connectors to rowhouse_api;

create table app.task_keys (
  user_id uuid not null default app.current_owner_id(),
  task_id uuid not null,
  provider text not null,
  created_at timestamptz not null default now(),
  constraint task_keys_pkey primary key (user_id, task_id, provider),
  constraint task_keys_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_keys_provider_check
    check (provider in ('anthropic', 'openai', 'cursor', 'gemini', 'aigateway'))
);
comment on table app.task_keys is
  'Which providers'' keys a task may use. A key may be set, or set anew, after the task was created.';

alter table app.task_keys enable row level security;
create policy select_owner on app.task_keys for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.task_keys for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
grant select, insert (task_id, provider) on app.task_keys to rowhouse_api;

create function app.open_task_secrets(out user_id uuid, out keys jsonb, out connectors jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.open_task_secrets() is
  'What the task of this transaction''s lease may use, sealed, and notes the use. Raises RH409 lease_lost, '
  'and RH403 missing_scope where who claimed the task may not read keys.';

grant execute on function app.open_task_secrets to rowhouse_api;

-- migrate:down

drop table app.task_keys, app.task_connectors, app.connectors, app.provider_keys;
drop function app.open_task_secrets;
