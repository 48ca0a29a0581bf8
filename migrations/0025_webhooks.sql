-- Webhooks: what providers deliver, and the events that connections get of it.
--
-- A delivery is stored once by the provider's id and by its body, in the same statement as its fan-out: one
-- event for each active connection whose workspace, installation or team the verified body names. So a
-- thousand copies at once make one delivery and one event a connection. What matches no connection stays
-- among the deliveries, which no login reads.
--
-- Any process may work on events: a claim lasts until next_attempt_at, and whoever outlives theirs finds that
-- the event is no longer at their attempt. An event's effect on its connection is decided when it is
-- received, and made in the same transaction that calls the event processed. Connections are locked before
-- their events, as their removal does.

-- migrate:up

create table app.webhook_deliveries (
  id uuid not null default app.new_id(),
  provider app.connection_provider not null,
  delivery_id text not null,
  body_hash bytea not null,
  event_type text not null,
  headers jsonb not null,
  payload jsonb not null,
  received_at timestamptz not null default now(),
  constraint webhook_deliveries_pkey primary key (id),
  constraint webhook_deliveries_provider_delivery_id_key unique (provider, delivery_id),
  constraint webhook_deliveries_provider_body_hash_key unique (provider, body_hash)
);
comment on table app.webhook_deliveries is
  'What providers delivered, once each, for thirty days. No login reads or writes it but through functions.';
comment on column app.webhook_deliveries.delivery_id is
  'The provider''s, by which a repeated delivery is recognised.';
comment on column app.webhook_deliveries.body_hash is
  'SHA-256 of the body as it was signed: a copy under another id, which no signature covers, is recognised '
  'by it.';
create index webhook_deliveries_received_at_idx on app.webhook_deliveries (received_at);

alter table app.webhook_deliveries enable row level security;

create table app.webhook_events (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  connection_id uuid not null,
  delivery_id uuid not null,
  provider app.connection_provider not null,
  event_type text not null,
  payload jsonb not null,
  effect text,
  status text not null default 'received',
  attempts integer not null default 0,
  next_attempt_at timestamptz default now(),
  last_error text,
  processed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint webhook_events_pkey primary key (user_id, id),
  constraint webhook_events_user_id_connection_id_delivery_id_key unique (user_id, connection_id, delivery_id),
  constraint webhook_events_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint webhook_events_delivery_id_fkey foreign key (delivery_id)
    references app.webhook_deliveries (id) on delete cascade,
  constraint webhook_events_effect_check check (effect in ('revoke', 'suspend', 'unsuspend')),
  constraint webhook_events_status_check
    check (status in ('received', 'processing', 'processed', 'failed', 'dead')),
  -- What is over has no next attempt, and everything else has one.
  constraint webhook_events_next_attempt_at_check
    check ((next_attempt_at is null) = (status in ('processed', 'dead')))
);
comment on table app.webhook_events is 'What a delivery was to one connection: an event of its owner''s.';
comment on column app.webhook_events.effect is
  'What processing does to the connection; null where it only notes the event.';
comment on column app.webhook_events.next_attempt_at is
  'When the event is to be worked on; of one that is being processed, when its claim ends.';
create index webhook_events_user_id_provider_id_idx on app.webhook_events (user_id, provider, id desc);
create index webhook_events_user_id_status_id_idx on app.webhook_events (user_id, status, id desc);
create index webhook_events_delivery_id_idx on app.webhook_events (delivery_id);
create index webhook_events_next_attempt_at_idx on app.webhook_events (next_attempt_at)
  where status in ('received', 'processing', 'failed');

alter table app.webhook_events enable row level security;
create policy select_owner on app.webhook_events for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy update_owner on app.webhook_events for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
grant select, update (status) on app.webhook_events to rowhouse_api;

create trigger webhook_events_touch_updated_at before update on app.webhook_events
  for each row execute function app.touch_updated_at();
comment on trigger webhook_events_touch_updated_at on app.webhook_events is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

-- Runs as whoever changes the row: the functions below are the owner's.
create function app.keep_webhook_event_transition() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.keep_webhook_event_transition() is
  'Lets the API replay events that failed, from the first attempt on, and change no other.';
create trigger webhook_events_keep_transition before update on app.webhook_events
  for each row when (old.status is distinct from new.status)
  execute function app.keep_webhook_event_transition();
comment on trigger webhook_events_keep_transition on app.webhook_events is
  E'Lets the API send dead webhook events around once more, and change no other.\n\n'
  'An event''s effect is made once, by whoever holds its claim.';

create function app.receive_webhook(
  p_provider text,
  p_delivery_id text,
  p_body_hash bytea,
  p_event_type text,
  p_external_ids text[],
  p_effect text,
  p_headers jsonb,
  p_payload jsonb,
  out is_new boolean,
  out event_count integer
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.receive_webhook(text, text, bytea, text, text[], text, jsonb, jsonb) is
  'Stores a verified delivery and an event for each active connection that it names; a copy of one that is '
  'stored does nothing.';

grant execute on function app.receive_webhook to rowhouse_system;

-- migrate:down

drop table app.webhook_events, app.webhook_deliveries;
drop function app.keep_webhook_event_transition, app.receive_webhook;
