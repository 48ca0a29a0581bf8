-- What follows a removed row, and comes back with it when the row is restored: a thousand rows at once, the
-- rest in batches (0035_erasures).

-- migrate:up

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
  'Tables whose rows get the deletion_id of a removed row of p_parent: its triggers of app.follow_deletion, '
  'and what cannot be removed alone.';

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
comment on function app.detach_content(uuid, timestamptz, integer) is
  'Leaves content of an organization that was made before a time with its creators.';

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
  'Marks up to p_limit rows with the deletion_id of a removed row that they follow or, once that is '
  'restored, takes the mark off those that have it. With a time, as a later batch: what can no longer be '
  'restored is left as it is, and content that an organization had before it leaves it.';

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
  'Deletes, or marks, up to p_limit of the rows that depend on a removed row. Nulls where there is no such '
  'job, or another process is at it.';

grant execute on function app.erase_batch to rowhouse_system;

-- migrate:down

drop function app.followers, app.detach_content, app.follow_batch, app.follow, app.erase_batch;
