-- How much one user holds at a time, over all processes: open streams, uploads under way, exports being read.
--
-- Each process announces what its callers hold, and learns what the others' hold of the same. A process that
-- was killed announces nothing any more, so what it held counts for half a minute longer.

-- migrate:up

create table app.held_places (
  holder text not null,
  process_id uuid not null,
  count integer not null,
  expires_at timestamptz not null,
  constraint held_places_pkey primary key (holder, process_id),
  constraint held_places_count_check check (count > 0)
);
comment on table app.held_places is
  'What users hold at a time, as each process announces it, by kind and user. No login reads or writes it '
  'but through app.hold_places.';
comment on column app.held_places.holder is 'The kind of what is held, and the user: "streams:<id>".';
comment on column app.held_places.expires_at is
  'When it counts no more unless the process announces it again.';

alter table app.held_places enable row level security;

create function app.hold_places(
  p_process_id uuid,
  p_holders text[],
  p_counts integer[],
  p_is_taking boolean,
  out holder text,
  out others integer
) returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.hold_places(uuid, text[], integer[], boolean) is
  'Announces what callers of a process hold, for half a minute, and tells a process that takes more what '
  'the other processes'' callers hold of it. Locks its holders then, in order.';

create function app.sweep_held_places() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  swept integer;
begin
  delete from app.held_places p where p.expires_at < now() - interval '1 minute';
  get diagnostics swept = row_count;
  return swept;
end
$$;
comment on function app.sweep_held_places() is
  'Removes what ended processes held and returns how many rows that were.';

grant execute on function app.hold_places, app.sweep_held_places to rowhouse_system;

-- migrate:down

drop table app.held_places;
drop function app.hold_places, app.sweep_held_places;
