-- The queue of erasures: entered when a row is removed, taken up by any process, and swept when finished.

-- migrate:up

create function app.begin_erasure(p_parent text, p_key jsonb, p_deletion_id uuid default null) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  -- By the clock: what is made under a membership that comes back while this goes on is made later, and
  -- stays.
  insert into app.erasures (parent, key, deletion_id, created_at)
  values (p_parent, p_key, p_deletion_id, clock_timestamp())
  returning id
$$;
comment on function app.begin_erasure(text, jsonb, uuid) is
  'Notes that dependent rows of a removed row are to be deleted or, with a deletion_id, to be marked with '
  'it.';

create function app.next_erasure(out id uuid, out open_count integer)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    (select e.id from app.erasures e where e.finished_at is null and e.due_at <= now() order by e.due_at limit 1),
    (select count(*)::integer from app.erasures e where e.finished_at is null)
$$;
comment on function app.next_erasure() is
  'The job whose next batch has waited longest; null where none is due. And how many are not finished.';

create function app.note_erasure_failure(p_id uuid, p_error text, p_retry_after_ms integer) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  update app.erasures e
  set
    failure_count = e.failure_count + 1,
    last_error = left(p_error, 500),
    due_at = now() + p_retry_after_ms * interval '1 ms'
  where e.id = p_id and e.finished_at is null
$$;
comment on function app.note_erasure_failure(uuid, text, integer) is
  'Notes why a batch failed, and when to try again.';

create function app.sweep_erasures() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.sweep_erasures() is
  'Deletes jobs that were finished more than thirty days ago, at most a thousand, and returns how many.';

grant execute on function app.next_erasure, app.note_erasure_failure, app.sweep_erasures to rowhouse_system;

-- migrate:down

drop function app.begin_erasure, app.next_erasure, app.note_erasure_failure, app.sweep_erasures;
