-- Removals whose size a user decides: an account of a million rows, a membership with a hundred thousand shared tasks, a
-- connection with years of events. One statement that deletes all of it runs past its deadline, rolls back, and so never ends.
--
-- Such a removal has two parts. The first is one short transaction: it hides what is removed from everybody, ends every
-- credential, and notes in app.erasures what is left to do. The second is app.erase_batch, which any process calls again and
-- again: a few hundred rows a call, those that refer to others first, in an order read from the catalog. A call that fails or a
-- process that is killed loses its batch and nothing else. What is small is done by the first batch.
--
-- A removed user keeps a row in auth.users, with removed_at, until their last row is gone, since everything refers to it. What
-- refers to a membership or a connection is kept right by triggers instead of a foreign key: a foreign key's cascade cannot be
-- split.

-- migrate:up

alter table auth.users add column removed_at timestamptz;
comment on column auth.users.removed_at is
  'When the user was removed. Nobody signs in as them or sees them from then on; their rows are deleted in batches, this one last.';
-- Nearly always empty, which makes asking whether a user is removed all but free.
create index users_removed_idx on auth.users (id) where removed_at is not null;

alter policy all_auth on auth.users using (removed_at is null) with check (removed_at is null);

create function app.removed_user_ids() returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return array(select u.id from auth.users u where u.removed_at is not null);
end
$$;
comment on function app.removed_user_ids() is
  'The users who are removed and whose rows are not all deleted yet. For policies that show rows of others.';
grant execute on function app.removed_user_ids() to rowhouse_api, rowhouse_public;

alter policy select_member on app.content
  using (
    organization_id = any ((select app.member_organization_ids())::uuid[])
    and deleted_at is null
    and user_id <> all ((select app.removed_user_ids())::uuid[])
  );
alter policy select_member on app.approvals
  using (
    organization_id = any ((select app.member_organization_ids())::uuid[])
    and user_id <> all ((select app.removed_user_ids())::uuid[])
  );

-- Jobs

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
  'Removed rows whose dependent rows are deleted in batches, and how far that is. No login reads or writes it but through functions.';
comment on column app.erasures.parent is 'The table of the removed row.';
comment on column app.erasures.key is 'The columns of the removed row that dependent rows refer to, with their values.';
comment on column app.erasures.deletion_id is
  'Set where the row may be restored: dependent rows are marked with it, or lose that mark, instead of being deleted.';
comment on column app.erasures.step is 'The step of app.erasure_steps at which the next batch begins; null for the first one.';
comment on column app.erasures.position is 'The last row that this step deleted, by its place; null before its first batch.';
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
  'References that no foreign key holds, since their children are deleted, or have columns set to null, in batches.';

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
  'What is deleted, or has columns set to null (cleared), before a row of p_parent goes, in this order: by the columns that hold its '
  'p_columns, and in the order of what follows them in the primary key (place), where that leads with them. Read from the catalog.';

create function app.begin_erasure(p_parent text, p_key jsonb, p_deletion_id uuid default null) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  -- By the clock: what is made under a membership that comes back while this goes on is made later, and stays.
  insert into app.erasures (parent, key, deletion_id, created_at)
  values (p_parent, p_key, p_deletion_id, clock_timestamp())
  returning id
$$;
comment on function app.begin_erasure(text, jsonb, uuid) is
  'Notes that dependent rows of a removed row are to be deleted or, with a deletion_id, to be marked with it.';

create function app.erase_dependents(
  p_job app.erasures, p_limit integer, out step text, out "position" jsonb, out erased integer
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Whatever the statistics say of tables that shrink as fast: a batch reads an index from where the last one ended.
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
    -- The condition once more: of a row that somebody changes at this moment, the new version counts. "is true" keeps it from
    -- being looked up instead of the key.
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
    -- What came in while the removal itself committed goes along by cascade. Of what has no foreign key the row itself went
    -- first, and may be there anew.
    execute format(
      'delete from %s t where %s', p_job.parent::regclass,
      (select string_agg(format('t.%I = %L', name, p_job.key ->> name), ' and ') from unnest(key_columns) name)
    );
  end if;
end
$$;
comment on function app.erase_dependents(app.erasures, integer) is
  'Deletes up to p_limit of the rows that depend on a removed row, and once none is left, the row itself; returns where the next batch begins.';

create function app.followers(p_parent regclass)
returns table (child regclass, columns text[], parent_columns text[], has_time boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.followers(regclass) is
  'Tables whose rows get the deletion_id of a removed row of p_parent: its triggers of app.follow_deletion, and what cannot be removed alone.';

create function app.is_slug_taken(p_user_id uuid, p_organization_id uuid, p_slug text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.is_slug_taken(uuid, uuid, text) is
  'Whether a slug is in use on a creator''s own page, or in an organization. A function, so that it is looked up row by row.';

create function app.follow_batch(p_parent regclass, p_key jsonb, p_deletion_id uuid, p_before timestamptz, p_limit integer)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
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
$$;
comment on function app.follow_batch(regclass, jsonb, uuid, timestamptz, integer) is
  'Marks up to p_limit rows with the deletion_id of a removed row that they follow or, once that is restored, takes the mark off those '
  'that have it. With a time, as a later batch: what can no longer be restored is left as it is, and content that an organization '
  'had before it leaves it.';

create function app.detach_content(p_organization_id uuid, p_before timestamptz, p_limit integer) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.detach_content(uuid, timestamptz, integer) is 'Leaves content of an organization that was made before a time with its creators.';

create function app.follow(p_parent text, p_key jsonb, p_deletion_id uuid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_deletion_id is not null and app.follow_batch(p_parent::regclass, p_key, p_deletion_id, null, 1000) >= 1000 then
    perform app.begin_erasure(p_parent, p_key, p_deletion_id);
  end if;
end
$$;
comment on function app.follow(text, jsonb, uuid) is
  'Lets rows follow one that is removed or restored: a thousand at once, the rest in later batches.';

create function app.erase_batch(
  p_id uuid, p_limit integer,
  out parent text, out key jsonb, out step text, out erased integer, out row_count bigint, out is_finished boolean,
  out created_at timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.erase_batch(uuid, integer) is
  'Deletes, or marks, up to p_limit of the rows that depend on a removed row. Nulls where there is no such job, or another process is at it.';

create function app.next_erasure(out id uuid, out open_count integer)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    (select e.id from app.erasures e where e.finished_at is null and e.due_at <= now() order by e.due_at limit 1),
    (select count(*)::integer from app.erasures e where e.finished_at is null)
$$;
comment on function app.next_erasure() is 'The job whose next batch has waited longest; null where none is due. And how many are not finished.';

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
comment on function app.note_erasure_failure(uuid, text, integer) is 'Notes why a batch failed, and when to try again.';

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
comment on function app.sweep_erasures() is 'Deletes jobs that were finished more than thirty days ago, at most a thousand, and returns how many.';

grant execute on function
  app.erase_batch(uuid, integer),
  app.next_erasure(),
  app.note_erasure_failure(uuid, text, integer),
  app.sweep_erasures()
to rowhouse_system;

-- References without a foreign key

alter table app.api_tokens drop constraint api_tokens_organization_id_user_id_fkey;
alter table app.connections drop constraint connections_organization_id_user_id_fkey;
alter table app.content drop constraint content_organization_id_user_id_fkey;
alter table app.tasks drop constraint tasks_organization_id_user_id_fkey;
alter table app.webhook_events drop constraint webhook_events_user_id_connection_id_fkey;
alter table app.webhook_events add constraint webhook_events_user_id_fkey
  foreign key (user_id) references auth.users (id) on delete cascade;

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
create trigger api_tokens_require_membership after insert or update of organization_id on app.api_tokens
  for each row when (new.organization_id is not null) execute function app.require_membership();
create trigger connections_require_membership after insert or update of organization_id on app.connections
  for each row when (new.organization_id is not null) execute function app.require_membership();
create trigger content_require_membership after insert or update of organization_id on app.content
  for each row when (new.organization_id is not null) execute function app.require_membership();
create trigger tasks_require_membership after insert or update of organization_id on app.tasks
  for each row when (new.organization_id is not null) execute function app.require_membership();

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
  'Deletes or changes what depends on a removed row: a thousand rows at once, the rest in later batches. Arguments: the columns of its key.';
create trigger members_follow_in_batches after delete on auth.members
  for each row execute function app.follow_in_batches('organization_id', 'user_id');
create trigger connections_follow_in_batches after delete on app.connections
  for each row execute function app.follow_in_batches('user_id', 'id');

-- A lease names what it was claimed with. It has ended once that is gone, whether the lease's row is there or not; a worker's
-- session or token may have claimed any number of tasks.
alter table app.task_leases drop constraint task_leases_user_id_api_token_id_fkey;
alter table app.task_leases drop constraint task_leases_user_id_session_id_fkey;
drop index app.task_leases_user_id_api_token_id_idx;
drop index app.task_leases_user_id_session_id_idx;
create index task_leases_user_id_api_token_id_idx on app.task_leases (user_id, api_token_id) where ended_at is null;
create index task_leases_user_id_session_id_idx on app.task_leases (user_id, session_id) where ended_at is null;

create or replace function app.end_credential_leases() returns trigger
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
  -- The task first, as everyone does who needs both. Of a worker with more tasks than these, the other leases open nothing
  -- any more, and lapse.
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
create or replace function auth.keep_last_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

-- Removing a user

create function app.close_account(p_user_id uuid) returns uuid[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
  -- Every credential is dead from the moment that removed_at is set, and reset links ended with the address. These go at once,
  -- so that what signs in can be used for another account.
  delete from auth.members m where m.user_id = p_user_id;
  delete from auth.accounts a where a.user_id = p_user_id;
  delete from auth.two_factors t where t.user_id = p_user_id;
  delete from auth.trusted_devices d where d.user_id = p_user_id;
  delete from auth.sessions s where s.id in (select old.id from auth.sessions old where old.user_id = p_user_id limit 1000);
  return jobs;
end
$$;
comment on function app.close_account(uuid) is
  'Hides a user from everybody and ends all they sign in with; returns the jobs that delete what they own, organizations without '
  'other members included. Raises members_last_owner_check where others would be left without an owner.';

create function app.close_account_instead() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.close_account_instead() is
  'Makes deleting a user the same for everybody: it removes them, and their row goes at once where they have little, else last.';
create trigger users_close_account before delete on auth.users
  for each row execute function app.close_account_instead();

drop function app.remove_account();
create function app.remove_account() returns uuid[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  if caller is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;
  return app.close_account(caller);
end
$$;
comment on function app.remove_account() is
  'Removes the caller, as app.close_account does. Their rows are deleted in batches.';
grant execute on function app.remove_account() to rowhouse_api;

-- What can be restored follows in batches, too

create function app.pending_parent_ids(p_parent text) returns uuid[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.pending_parent_ids(text) is
  'Removed media items, or organizations, whose content does not all follow them yet: it is gone for readers all the same.';
grant execute on function app.pending_parent_ids(text) to rowhouse_api, rowhouse_public;

alter policy select_published on app.content
  using (
    status = 'published'
    and deleted_at is null
    and user_id <> all ((select app.removed_user_ids())::uuid[])
    and case
      when organization_id is not null
        then organization_id <> all ((select app.pending_parent_ids('auth.organizations'))::uuid[])
      else true
    end
    and case
      when media_item_id is not null then media_item_id <> all ((select app.pending_parent_ids('app.media_items'))::uuid[])
      else true
    end
  );

create or replace function app.follow_deletion() returns trigger
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

create or replace function app.mark_approvals_with_task() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.follow(
    'app.tasks', jsonb_build_object('user_id', new.user_id, 'id', new.id), coalesce(old.deletion_id, new.deletion_id)
  );
  return null;
end
$$;

create or replace function app.mark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.follow('auth.organizations', jsonb_build_object('id', p_id), p_deletion_id);
end
$$;

create or replace function app.unmark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.follow('auth.organizations', jsonb_build_object('id', p_id), p_deletion_id);
end
$$;

create or replace function app.detach_organization_content() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

-- What is a removed user's is nobody's to see or to work on, and a sweep takes as much as it has time for

drop function app.sweep_oauth_states();
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
grant execute on function app.sweep_oauth_states() to rowhouse_system;

create or replace function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
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
    where s.token = encode(sha256(decode(substr(p_credential, 3), 'hex')), 'hex') and s.expires_at > now()
      and not exists (select from auth.users u where u.id = s.user_id and u.removed_at is not null);
  elsif starts_with(p_credential, 't:') then
    select
      t.user_id, 'token', t.id, t.last_used_at is null or t.last_used_at < now() - interval '1 minute',
      false, coalesce(p_organization, t.organization_id), t.scopes, t.organization_id
    into
      caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due,
      caller.is_slide_due, wanted, caller.scopes, caller.organization_id
    from app.api_tokens t
    where t.token_hash = sha256(decode(substr(p_credential, 3), 'hex'))
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > now())
      and (t.grace_until is null or t.grace_until > now())
      and t.deletion_id is null
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
    -- What follows a plus sign is for other kinds of credential. 'session' is no scope: a token that lists it anyway is none
    -- the stronger.
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
      -- What a session needs to choose another organization, or none, stays open to one that is active in this one.
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

create or replace function app.current_user_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  case left(credential, 2)
    when 's:' then
      return (
        select s.user_id from auth.sessions s
        where s.token = encode(sha256(decode(substr(credential, 3), 'hex')), 'hex') and s.expires_at > now()
          and not exists (select from auth.users u where u.id = s.user_id and u.removed_at is not null)
      );
    when 't:' then
      return (
        select t.user_id from app.api_tokens t
        where t.token_hash = sha256(decode(substr(credential, 3), 'hex'))
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
          and t.deletion_id is null
          and not exists (select from auth.users u where u.id = t.user_id and u.removed_at is not null)
      );
    else
      return null;
  end case;
end
$$;

create or replace function app.live_lease(p_credential text, out user_id uuid, out task_id uuid, out lease_id uuid)
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  select l.user_id, l.task_id, l.id
  into user_id, task_id, lease_id
  from app.task_leases l
  where left(p_credential, 2) = 'l:'
    and l.credential_hash = sha256(decode(substr(p_credential, 3), 'hex'))
    and l.ended_at is null
    and l.expires_at > now()
    and not exists (select from auth.users u where u.id = l.user_id and u.removed_at is not null)
    and (
      l.api_token_id is null
      or exists (
        select from app.api_tokens t
        where t.user_id = l.user_id
          and t.id = l.api_token_id
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
          and t.deletion_id is null
      )
    )
    and (
      l.session_id is null
      or exists (select from auth.sessions s where s.id = l.session_id and s.expires_at > now())
    );
end
$$;

create or replace function app.claim_any_task(
  p_after_user uuid, p_worker text, p_lease_seconds integer, p_credential_hash bytea,
  out user_id uuid, out task_id uuid, out expires_at timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  everybody constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  after_user uuid := coalesce(p_after_user, nobody);
  after_task uuid := everybody;
begin
  -- Round robin by user: the first after the one served last who has a task to claim, then from the beginning.
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
      -- Looked up anew under the lock: the row may have been claimed since the statement above took its snapshot.
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
$$;

create or replace function app.sweep_leases() returns table (user_id uuid, task_id uuid)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.receive_webhook(
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

create or replace function app.is_account_connected(p_provider text, p_external_id text) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from app.connections c
    where c.provider = p_provider and c.external_id = p_external_id and c.status <> 'revoked'
      and not exists (select from auth.users u where u.id = c.user_id and u.removed_at is not null)
  )
$$;

create or replace function app.is_upload_open(p_user uuid, p_id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from app.media_items m
    where m.user_id = p_user and m.id = p_id and m.status = 'uploading' and m.deleted_at is null
      and not exists (select from auth.users u where u.id = m.user_id and u.removed_at is not null)
  );
end
$$;

create or replace function app.decide_approval(p_id uuid, p_decision text, p_note text, p_payload_hash bytea) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.cancel_approval(p_id uuid) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.published_content(
  p_slug text,
  p_search text,
  p_type text,
  p_tags text[],
  p_creator_id uuid,
  p_organization_slug text,
  p_after text,
  p_after_id uuid,
  p_limit integer
)
returns table (
  id uuid, title text, slug text, description text, body text, content_type text, published_at timestamptz, tags text[],
  updated_at timestamptz, "position" text,
  creator_id uuid, creator_name text, creator_image text,
  organization_id uuid, organization_name text, organization_slug text, organization_logo text,
  media_item_id uuid, media_title text, media_type text, media_mime_type text, media_duration_seconds double precision,
  media_width integer, media_height integer, media_file_name text, media_storage_key text, media_thumbnail_key text
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.shared_media(p_user_id uuid, p_media_item_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.export_account() returns table (source text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.sweep_rate_limits() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace function app.sweep_webhooks() returns integer
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

-- An export reads what a user has in auth in batches as well.
create function app.export_rows(p_source text, p_after uuid, p_limit integer) returns table (id uuid, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function app.export_rows(text, uuid, integer) is
  'A batch of the caller''s rows of a table in auth that may have many, by id; without tokens and hashes.';
grant execute on function app.export_rows(text, uuid, integer) to rowhouse_api;

-- migrate:down

drop trigger users_close_account on auth.users;
drop trigger members_follow_in_batches on auth.members;
drop trigger connections_follow_in_batches on app.connections;
drop trigger api_tokens_require_membership on app.api_tokens;
drop trigger connections_require_membership on app.connections;
drop trigger content_require_membership on app.content;
drop trigger tasks_require_membership on app.tasks;

create or replace function app.end_credential_leases() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The task first, as everyone does who needs both.
  perform from app.tasks t
  join app.task_leases l on l.user_id = t.user_id and l.task_id = t.id
  where l.user_id = old.user_id and (l.session_id = old.id or l.api_token_id = old.id) and l.ended_at is null
  order by t.id
  for update of t;
  update app.task_leases l set ended_at = now()
  where l.user_id = old.user_id and (l.session_id = old.id or l.api_token_id = old.id) and l.ended_at is null;
  return old;
end
$$;

create or replace function auth.keep_last_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
  -- A user who is being deleted takes the membership along where nobody else is left behind.
  if tg_op = 'DELETE'
    and not exists (select from auth.users u where u.id = old.user_id)
    and not exists (
      select from auth.members m where m.organization_id = old.organization_id and m.id <> old.id
    )
  then
    return old;
  end if;
  raise exception 'an organization keeps at least one owner'
    using errcode = 'check_violation', constraint = 'members_last_owner_check', table = 'members', schema = 'auth';
end
$$;

create or replace function app.follow_deletion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- The child's table, its column with the parent's id and, where both belong to a user, 'user_id'.
  child text := tg_argv[0];
  of_parent text := format('%I = $1', tg_argv[1]);
begin
  if tg_nargs > 2 then
    of_parent := format('%s and user_id = %L', of_parent, new.user_id);
  end if;
  if old.deletion_id is null then
    execute format('update %s set deleted_at = $2, deletion_id = $3 where %s and deletion_id is null', child, of_parent)
    using new.id, new.deleted_at, new.deletion_id;
  elsif new.deletion_id is null then
    execute format('update %s set deleted_at = null, deletion_id = null where %s and deletion_id = $2', child, of_parent)
    using new.id, old.deletion_id;
  end if;
  return null;
end
$$;

create or replace function app.mark_approvals_with_task() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.deleted_at is not null then
    update app.approvals a set deletion_id = new.deletion_id
    where a.user_id = new.user_id and a.task_id = new.id and a.deletion_id is null;
  else
    update app.approvals a
    set deletion_id = (select o.deletion_id from auth.organizations o where o.id = a.organization_id)
    where a.user_id = new.user_id and a.task_id = new.id and a.deletion_id = old.deletion_id;
  end if;
  return null;
end
$$;

create or replace function app.mark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One statement for each table with rows that an organization's removal hides, and its counterpart below.
  update app.api_tokens t set deletion_id = p_deletion_id where t.organization_id = p_id and t.deletion_id is null;
  update app.ai_provider_configs c set deletion_id = p_deletion_id
  where c.organization_id = p_id and c.deletion_id is null;
  update app.approvals a set deletion_id = p_deletion_id where a.organization_id = p_id and a.deletion_id is null;
end
$$;

create or replace function app.unmark_with_organization(p_id uuid, p_deletion_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update app.api_tokens t set deletion_id = null where t.organization_id = p_id and t.deletion_id = p_deletion_id;
  update app.ai_provider_configs c set deletion_id = null
  where c.organization_id = p_id and c.deletion_id = p_deletion_id;
  -- An approval whose task was removed meanwhile stays hidden with that.
  update app.approvals a
  set deletion_id = (select t.deletion_id from app.tasks t where t.user_id = a.user_id and t.id = a.task_id)
  where a.organization_id = p_id and a.deletion_id = p_deletion_id;
end
$$;

create or replace function app.detach_organization_content() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- In one order, so that two organizations that are removed at once don't wait for each other's creators.
  perform app.lock_page(creator.user_id, false)
  from (
    select distinct c.user_id from app.content c
    where c.organization_id = new.id and c.deleted_at is null
    order by c.user_id
  ) creator;
  update app.content c set organization_id = null where c.organization_id = new.id;
  return null;
end
$$;

create or replace function app.authenticate(p_credential text, p_organization uuid, p_scope text) returns app.caller
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
    where s.token = encode(sha256(decode(substr(p_credential, 3), 'hex')), 'hex') and s.expires_at > now();
  elsif starts_with(p_credential, 't:') then
    select
      t.user_id, 'token', t.id, t.last_used_at is null or t.last_used_at < now() - interval '1 minute',
      false, coalesce(p_organization, t.organization_id), t.scopes, t.organization_id
    into
      caller.user_id, caller.kind, caller.credential_id, caller.is_touch_due,
      caller.is_slide_due, wanted, caller.scopes, caller.organization_id
    from app.api_tokens t
    where t.token_hash = sha256(decode(substr(p_credential, 3), 'hex'))
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > now())
      and (t.grace_until is null or t.grace_until > now())
      and t.deletion_id is null;
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
    -- What follows a plus sign is for other kinds of credential. 'session' is no scope: a token that lists it anyway is none
    -- the stronger.
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
      -- What a session needs to choose another organization, or none, stays open to one that is active in this one.
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

create or replace function app.current_user_id() returns uuid
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  credential text := current_setting('app.credential', true);
begin
  case left(credential, 2)
    when 's:' then
      return (
        select s.user_id from auth.sessions s
        where s.token = encode(sha256(decode(substr(credential, 3), 'hex')), 'hex') and s.expires_at > now()
      );
    when 't:' then
      return (
        select t.user_id from app.api_tokens t
        where t.token_hash = sha256(decode(substr(credential, 3), 'hex'))
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
          and t.deletion_id is null
      );
    else
      return null;
  end case;
end
$$;

create or replace function app.live_lease(p_credential text, out user_id uuid, out task_id uuid, out lease_id uuid)
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  select l.user_id, l.task_id, l.id
  into user_id, task_id, lease_id
  from app.task_leases l
  where left(p_credential, 2) = 'l:'
    and l.credential_hash = sha256(decode(substr(p_credential, 3), 'hex'))
    and l.ended_at is null
    and l.expires_at > now()
    and (
      l.api_token_id is null
      or exists (
        select from app.api_tokens t
        where t.user_id = l.user_id
          and t.id = l.api_token_id
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > now())
          and (t.grace_until is null or t.grace_until > now())
          and t.deletion_id is null
      )
    )
    and (
      l.session_id is null
      or exists (select from auth.sessions s where s.id = l.session_id and s.expires_at > now())
    );
end
$$;

create or replace function app.claim_any_task(
  p_after_user uuid, p_worker text, p_lease_seconds integer, p_credential_hash bytea,
  out user_id uuid, out task_id uuid, out expires_at timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  everybody constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  after_user uuid := coalesce(p_after_user, nobody);
  after_task uuid := everybody;
begin
  -- Round robin by user: the first after the one served last who has a task to claim, then from the beginning.
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
      -- Looked up anew under the lock: the row may have been claimed since the statement above took its snapshot.
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
$$;

create or replace function app.sweep_leases() returns table (user_id uuid, task_id uuid)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with overdue as (
      select t.user_id, t.id from app.tasks t
      where t.deleted_at is null
        and t.status = 'processing'
        and app.task_deadline(t.started_at, t.options) <= now()
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
      for update of t skip locked
    )
    update app.task_leases l set ended_at = l.expires_at
    from lapsed
    where l.user_id = lapsed.user_id and l.id = lapsed.id and l.ended_at is null and l.expires_at <= now()
    returning l.user_id, l.task_id;
end
$$;

create or replace function app.receive_webhook(
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
    for key share
  )
  insert into app.webhook_events (user_id, connection_id, delivery_id, provider, event_type, payload, effect)
  select connected.user_id, connected.id, stored, p_provider, p_event_type, p_payload, p_effect
  from connected;
  get diagnostics event_count = row_count;
end
$$;

create or replace function app.is_account_connected(p_provider text, p_external_id text) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from app.connections c
    where c.provider = p_provider and c.external_id = p_external_id and c.status <> 'revoked'
  )
$$;

create or replace function app.is_upload_open(p_user uuid, p_id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from app.media_items m
    where m.user_id = p_user and m.id = p_id and m.status = 'uploading' and m.deleted_at is null
  );
end
$$;

create or replace function app.decide_approval(p_id uuid, p_decision text, p_note text, p_payload_hash bytea) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_user_id();
  target record;
  approval app.approvals;
  role text;
begin
  select a.user_id, a.organization_id into target
  from app.approvals a
  where a.id = p_id and a.deletion_id is null
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
$$;

create or replace function app.cancel_approval(p_id uuid) returns setof app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_user_id();
  requester uuid;
  approval app.approvals;
begin
  select a.user_id into requester
  from app.approvals a
  where a.id = p_id and a.deletion_id is null
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
$$;

create or replace function app.published_content(
  p_slug text,
  p_search text,
  p_type text,
  p_tags text[],
  p_creator_id uuid,
  p_organization_slug text,
  p_after text,
  p_after_id uuid,
  p_limit integer
)
returns table (
  id uuid, title text, slug text, description text, body text, content_type text, published_at timestamptz, tags text[],
  updated_at timestamptz, "position" text,
  creator_id uuid, creator_name text, creator_image text,
  organization_id uuid, organization_name text, organization_slug text, organization_logo text,
  media_item_id uuid, media_title text, media_type text, media_mime_type text, media_duration_seconds double precision,
  media_width integer, media_height integer, media_file_name text, media_storage_key text, media_thumbnail_key text
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  conditions text := '';
  sort text := 'c.published_at';
  -- In microseconds, as exact as the column is.
  place text := '(extract(epoch from c.published_at) * 1000000)::bigint::text';
  after text := $sql$timestamptz 'epoch' + $7::bigint * interval '1 microsecond'$sql$;
  source text := 'app.content c';
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
  using p_slug, p_search, p_type, p_tags, p_creator_id, p_organization_slug, p_after, p_after_id, least(p_limit, 101);
end
$$;

create or replace function app.shared_media(p_user_id uuid, p_media_item_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_build_object(
      'id', m.id, 'title', m.title, 'mediaType', m.media_type, 'mimeType', m.mime_type, 'status', m.status,
      'durationSeconds', m.duration_seconds, 'width', m.width, 'height', m.height
    )
    from app.media_items m
    where m.user_id = p_user_id and m.id = p_media_item_id
      and exists (
        select from app.content c
        where c.user_id = p_user_id and c.media_item_id = p_media_item_id and c.deleted_at is null
          and c.organization_id = any ((select app.member_organization_ids())::uuid[])
      )
  );
end
$$;

create or replace function app.export_account() returns table (source text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
begin
  return query
    select 'users', to_jsonb(u) from auth.users u where u.id = caller
    union all
    select 'sessions', to_jsonb(s) - 'token' from auth.sessions s where s.user_id = caller
    union all
    select 'accounts', to_jsonb(a) - array['password', 'access_token', 'refresh_token', 'id_token']
    from auth.accounts a where a.user_id = caller
    union all
    select 'two_factors', to_jsonb(t) - array['secret', 'backup_codes'] from auth.two_factors t where t.user_id = caller
    union all
    select 'trusted_devices', to_jsonb(d) - 'token_hash' from auth.trusted_devices d where d.user_id = caller
    union all
    select 'verifications', to_jsonb(v) - array['identifier', 'value'] from auth.verifications v where v.user_id = caller
    union all
    select 'members', to_jsonb(m) from auth.members m where m.user_id = caller
    union all
    select 'invitations', to_jsonb(i) from auth.invitations i where i.inviter_id = caller;
end
$$;

create or replace function app.sweep_rate_limits() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  swept integer;
begin
  delete from app.rate_limits r where r.expires_at < now() - interval '1 hour';
  get diagnostics swept = row_count;
  return swept;
end
$$;

create or replace function app.sweep_webhooks() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  swept integer;
begin
  delete from app.webhook_deliveries d
  where d.id in (
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
  get diagnostics swept = row_count;
  return swept;
end
$$;

drop function app.sweep_oauth_states();
create function app.sweep_oauth_states() returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from app.oauth_states where expires_at < now() - interval '1 hour'
$$;
comment on function app.sweep_oauth_states() is 'Removes states that nobody came back with.';
grant execute on function app.sweep_oauth_states() to rowhouse_system;

drop function app.remove_account();
create function app.remove_account() returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := app.current_session_user_id();
  mine uuid[];
begin
  if caller is null then
    raise exception 'unauthenticated' using errcode = 'invalid_authorization_specification';
  end if;
  perform from auth.organizations o
  where o.id in (select m.organization_id from auth.members m where m.user_id = caller and m.role = 'owner')
  order by o.id
  for update;
  mine := array(
    select m.organization_id from auth.members m
    where m.user_id = caller and m.role = 'owner'
      and not exists (
        select from auth.members other
        where other.organization_id = m.organization_id and other.role = 'owner' and other.user_id <> caller
      )
  );
  if exists (
    select from auth.members m
    join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
    where m.organization_id = any (mine) and m.user_id <> caller
  ) then
    raise exception 'an organization keeps at least one owner'
      using errcode = 'check_violation', constraint = 'members_last_owner_check', table = 'members', schema = 'auth';
  end if;
  delete from auth.organizations o where o.id = any (mine);
  delete from auth.users u where u.id = caller;
end
$$;
comment on function app.remove_account() is
  'Removes the caller and everything they own, organizations without other members included. Raises members_last_owner_check
where others would be left without an owner.';
grant execute on function app.remove_account() to rowhouse_api;
drop function app.close_account_instead();
drop function app.close_account(uuid);

-- What was not deleted yet goes at once, as it would have.
delete from auth.organizations o
where o.id in (select (e.key ->> 'id')::uuid from app.erasures e where e.parent = 'auth.organizations' and e.finished_at is null);
delete from auth.users u where u.removed_at is not null;
delete from app.webhook_events e
where not exists (select from app.connections c where c.user_id = e.user_id and c.id = e.connection_id);
delete from app.api_tokens t
where t.organization_id is not null
  and not exists (select from auth.members m where m.organization_id = t.organization_id and m.user_id = t.user_id);
update app.connections t set organization_id = null
where t.organization_id is not null
  and not exists (select from auth.members m where m.organization_id = t.organization_id and m.user_id = t.user_id);
update app.content t set organization_id = null
where t.organization_id is not null
  and not exists (select from auth.members m where m.organization_id = t.organization_id and m.user_id = t.user_id);
update app.tasks t set organization_id = null
where t.organization_id is not null
  and not exists (select from auth.members m where m.organization_id = t.organization_id and m.user_id = t.user_id);
delete from app.task_leases l
where l.api_token_id is not null
    and not exists (select from app.api_tokens t where t.user_id = l.user_id and t.id = l.api_token_id)
  or l.session_id is not null
    and not exists (select from auth.sessions s where s.user_id = l.user_id and s.id = l.session_id);

drop index app.task_leases_user_id_session_id_idx;
drop index app.task_leases_user_id_api_token_id_idx;
create index task_leases_user_id_session_id_idx on app.task_leases (user_id, session_id);
create index task_leases_user_id_api_token_id_idx on app.task_leases (user_id, api_token_id);
alter table app.task_leases add constraint task_leases_user_id_api_token_id_fkey
  foreign key (user_id, api_token_id) references app.api_tokens (user_id, id) on delete cascade;
alter table app.task_leases add constraint task_leases_user_id_session_id_fkey
  foreign key (user_id, session_id) references auth.sessions (user_id, id) on delete cascade;
alter table app.webhook_events drop constraint webhook_events_user_id_fkey;
alter table app.webhook_events add constraint webhook_events_user_id_connection_id_fkey
  foreign key (user_id, connection_id) references app.connections (user_id, id) on delete cascade;
alter table app.api_tokens add constraint api_tokens_organization_id_user_id_fkey
  foreign key (organization_id, user_id) references auth.members (organization_id, user_id) on delete cascade;
alter table app.connections add constraint connections_organization_id_user_id_fkey
  foreign key (organization_id, user_id) references auth.members (organization_id, user_id) on delete set null (organization_id);
alter table app.content add constraint content_organization_id_user_id_fkey
  foreign key (organization_id, user_id) references auth.members (organization_id, user_id) on delete set null (organization_id);
alter table app.tasks add constraint tasks_organization_id_user_id_fkey
  foreign key (organization_id, user_id) references auth.members (organization_id, user_id) on delete set null (organization_id);

alter policy select_member on app.approvals
  using (organization_id = any ((select app.member_organization_ids())::uuid[]));
alter policy select_published on app.content using (status = 'published' and deleted_at is null);
alter policy select_member on app.content
  using (organization_id = any ((select app.member_organization_ids())::uuid[]) and deleted_at is null);
alter policy all_auth on auth.users using (true) with check (true);

drop function app.follow_in_batches();
drop function app.require_membership();
drop function app.sweep_erasures();
drop function app.note_erasure_failure(uuid, text, integer);
drop function app.next_erasure();
drop function app.erase_batch(uuid, integer);
drop function app.follow(text, jsonb, uuid);
drop function app.follow_batch(regclass, jsonb, uuid, timestamptz, integer);
drop function app.detach_content(uuid, timestamptz, integer);
drop function app.is_slug_taken(uuid, uuid, text);
drop function app.followers(regclass);
drop function app.erase_dependents(app.erasures, integer);
drop function app.begin_erasure(text, jsonb, uuid);
drop function app.pending_parent_ids(text);
drop function app.export_rows(text, uuid, integer);
drop function app.erasure_steps(regclass, text[]);
drop function app.slow_references();
drop table app.erasures;
drop function app.removed_user_ids();
drop index auth.users_removed_idx;
alter table auth.users drop column removed_at;
