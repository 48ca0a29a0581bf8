-- The work on webhook events: claimed, processed, failed, and swept away at last.

-- migrate:up

create function app.claim_webhook_events(p_limit integer, p_claim_seconds integer, p_max_attempts integer)
returns table (user_id uuid, id uuid, attempt integer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.claim_webhook_events(integer, integer, integer) is
  'Claims events that are due, those of whoever did not come to an end among them, which die after their '
  'last attempt.';

create function app.process_webhook_event(p_user uuid, p_id uuid, p_attempt integer) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.process_webhook_event(uuid, uuid, integer) is
  'Makes an event''s effect on its connection and calls it processed, if it is still at this attempt.';

create function app.fail_webhook_event(
  p_user uuid,
  p_id uuid,
  p_attempt integer,
  p_error text,
  p_retry_after_ms integer
)
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  becomes text := case when p_retry_after_ms is null then 'dead' else 'failed' end;
begin
  update app.webhook_events e
  set status = becomes, next_attempt_at = now() + p_retry_after_ms * interval '1 ms', last_error = p_error
  where e.user_id = p_user and e.id = p_id and e.status = 'processing' and e.attempts = p_attempt
  returning e.status into becomes;
  return becomes;
end
$$;
comment on function app.fail_webhook_event(uuid, uuid, integer, text, integer) is
  'Notes that an attempt failed, and when the next is due; without a time for one, the event is dead.';

create function app.sweep_webhooks() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.sweep_webhooks() is
  'Removes deliveries of more than thirty days ago with their events, at most a thousand at once, and '
  'returns how many.';

grant execute on function
  app.claim_webhook_events, app.process_webhook_event, app.fail_webhook_event, app.sweep_webhooks
to rowhouse_system;

-- migrate:down

drop function app.claim_webhook_events, app.process_webhook_event, app.fail_webhook_event, app.sweep_webhooks;
