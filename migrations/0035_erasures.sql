-- Removals whose size a user decides: an account of a million rows, a membership with a hundred thousand
-- shared tasks, a connection with years of events. One statement that deletes all of it runs past its
-- deadline, rolls back, and so never ends.
--
-- Such a removal has two parts. The first is one short transaction: it hides what is removed from everybody,
-- ends every credential, and notes in app.erasures what is left to do. The second is app.erase_batch
-- (0037_following), which any process calls again and again: a few hundred rows a call, those that refer to
-- others first, in an order read from the catalog. A call that fails or a process that is killed loses its
-- batch and nothing else. What is small is done by the first batch.
--
-- A removed user keeps a row in auth.users, with removed_at, until their last row is gone, since everything
-- refers to it. What refers to a membership or a connection is kept right by triggers instead of a foreign
-- key: a foreign key's cascade cannot be split.

-- migrate:up

create table app.erasures (
  id uuid not null default app.new_id(),
  parent text not null,
  key jsonb not null,
  deletion_id uuid,
  step text,
  position jsonb,
  row_count bigint not null default 0,
  due_at timestamptz not null default now(),
  failure_count integer not null default 0,
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint erasures_pkey primary key (id)
);
comment on table app.erasures is
  'Removed rows whose dependent rows are deleted in batches, and how far that is. No login reads or writes '
  'it but through functions.';
comment on column app.erasures.parent is 'The table of the removed row.';
comment on column app.erasures.key is
  'The columns of the removed row that dependent rows refer to, with their values.';
comment on column app.erasures.deletion_id is
  'Set where the row may be restored: dependent rows are marked with it, or lose that mark, instead of '
  'being deleted.';
comment on column app.erasures.step is
  'The step of app.erasure_steps at which the next batch begins; null for the first one.';
comment on column app.erasures.position is
  'The last row that this step deleted, by its place; null before its first batch.';
comment on column app.erasures.row_count is 'How many dependent rows were deleted or changed so far.';
comment on column app.erasures.due_at is 'When the next batch may run; later after a failure.';
create index erasures_due_at_idx on app.erasures (due_at) where finished_at is null;
create index erasures_finished_at_idx on app.erasures (finished_at) where finished_at is not null;

alter table app.erasures enable row level security;

create function app.slow_references()
returns table (child regclass, columns text[], parent regclass, parent_columns text[], cleared text[])
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  values
    (
      'app.api_tokens'::regclass, '{organization_id,user_id}'::text[],
      'auth.members'::regclass, '{organization_id,user_id}'::text[], null::text[]
    ),
    ('app.connections', '{organization_id,user_id}', 'auth.members', '{organization_id,user_id}', '{organization_id}'),
    ('app.content', '{organization_id,user_id}', 'auth.members', '{organization_id,user_id}', '{organization_id}'),
    ('app.tasks', '{organization_id,user_id}', 'auth.members', '{organization_id,user_id}', '{organization_id}'),
    ('app.webhook_events', '{user_id,connection_id}', 'app.connections', '{user_id,id}', null)
$$;
comment on function app.slow_references() is
  'References that no foreign key holds, since their children are deleted, or have columns set to null, in '
  'batches.';

create function app.erasure_steps(p_parent regclass, p_columns text[])
returns table (
  step text, target regclass, key text[], columns text[], cleared text[], place text[], place_types text[]
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.erasure_steps(regclass, text[]) is
  'What is deleted, or has columns set to null (cleared), before a row of p_parent goes, in this order: by '
  'the columns that hold its p_columns, and in the order of what follows them in the primary key (place), '
  'where that leads with them. Read from the catalog.';

create function app.erase_dependents(
  p_job app.erasures, p_limit integer, out step text, out "position" jsonb, out erased integer
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Whatever the statistics say of tables that shrink as fast: a batch reads an index from where the last one
-- ended.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
-- A plan that is disabled counts as expensive, and before PostgreSQL 18 compiling it would take seconds.
set jit = off
as $$
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
$$;
comment on function app.erase_dependents(app.erasures, integer) is
  'Deletes up to p_limit of the rows that depend on a removed row, and once none is left, the row itself; '
  'returns where the next batch begins.';

-- migrate:down

drop function app.erase_dependents;
drop table app.erasures;
drop function app.slow_references, app.erasure_steps;
