-- Tasks, and how their texts are searched.
--
-- Search leads with the owner's key: matching text is not leakproof, so a text index would go unused behind a
-- policy. The search vector is stored, so that a search compares the owner's rows without parsing them.
--
-- A trigger ends the lease when its task leaves `processing` or is removed, whatever statement did it.
-- Whoever writes to a task locks its row, and the row names its lease; a statement that waited for the lock
-- while the lease changed hands finds another name there and writes nothing.

-- migrate:up

-- Postgres's own parser takes a path, a host name or a compound for one word, and on a server whose LC_CTYPE
-- is C it takes every sign outside ASCII for a letter. Here the signs between words are named by their code
-- points, so that a text has the same words on every server: those of /src/app/page.tsx are src, app, page
-- and tsx.
create function app.search_words(value text) returns text
language sql immutable parallel safe
return btrim(regexp_replace(
  lower(value),
  '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B4\u00B6-\u00B9\u00BB-\u00BF\u00D7\u00F7'
    '\u2000-\u206F\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\uFE00-\uFE6F\uFF01-\uFF0F\uFF1A-\uFF20'
    '\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFFF\U0001F000-\U0001FAFF]+',
  ' ', 'g'
));
comment on function app.search_words(text) is
  'The words of a text in lower case, with one space between two. Signs are named by code point: no locale '
  'decides.';

create function app.search_vector(value text) returns tsvector
language sql immutable parallel safe
return to_tsvector('simple', app.search_words(value));
comment on function app.search_vector(text) is 'What the column search of a text holds.';

-- Words that signs join must follow each other, and the last word may be the beginning of one, as it is while
-- somebody types.
create function app.search_query(value text) returns tsquery
language sql immutable parallel safe
begin atomic
  with terms as (
    select
      n,
      n = max(n) over () as is_last,
      coalesce(term[1], '') as minus,
      term[2] is not null as is_closed,
      lower(term[4]) is not distinct from 'or' as is_or,
      app.search_words(coalesce(term[2], term[3], term[4])) as words
    from regexp_matches(value, '(?:(?<=^|\s)(-))?(?:"([^"]*)"|"([^"]*)$|([^\s"]+))', 'g') with ordinality as t (term, n)
    where app.search_words(coalesce(term[2], term[3], term[4])) <> ''
  )
  select coalesce(
    (
      websearch_to_tsquery('simple', string_agg(
        case when is_or and not is_last then 'or' else format('%s"%s"', minus, words) end, ' ' order by n
      ))::text
        || case when bool_or(is_last and minus = '' and not is_closed) then ':*' else '' end
    )::tsquery,
    ''
  )
  from terms;
end;
comment on function app.search_query(text) is
  'Reads a search in web search syntax; its last word, unless quoted or excluded, matches by prefix. Empty '
  'where it has no words.';

create table app.tasks (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  organization_id uuid,
  title text not null,
  prompt text not null,
  status text not null default 'pending',
  progress integer not null default 0,
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
  options jsonb not null default '{}',
  result jsonb,
  error text,
  lease_id uuid,
  last_log_seq integer not null default 0,
  last_message_seq integer not null default 0,
  last_event_seq integer not null default 0,
  started_at timestamptz,
  completed_at timestamptz,
  deleted_at timestamptz,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  search tsvector not null generated always as (app.search_vector(title || ' ' || prompt)) stored,
  constraint tasks_pkey primary key (user_id, id),
  constraint tasks_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint tasks_status_check check (status in ('pending', 'processing', 'completed', 'error', 'stopped')),
  constraint tasks_progress_check check (progress between 0 and 100),
  constraint tasks_pr_status_check check (pr_status in ('open', 'closed', 'merged')),
  -- Read for all users at once, by whoever looks for a task to claim or to end: one that can't be read would
  -- stop them.
  constraint tasks_options_check check (options ->> 'maxDurationSeconds' ~ '^[1-9][0-9]{0,4}$'),
  constraint tasks_deleted_at_check check ((deleted_at is null) = (deletion_id is null))
);
comment on table app.tasks is 'Work for an agent: a prompt, its progress and what came of it.';
comment on column app.tasks.deletion_id is
  'Marks all rows that went with one deletion, so that restoring brings back exactly those.';
comment on column app.tasks.lease_id is
  'The lease under which a worker may write: the fence that holds under the row''s lock, when a lease '
  'changes hands meanwhile.';
create index tasks_user_id_status_id_idx on app.tasks (user_id, status, id desc) where deleted_at is null;
create index tasks_organization_id_user_id_idx on app.tasks (organization_id, user_id) where organization_id is not null;
create index tasks_claimable_idx on app.tasks (user_id, id)
  where deleted_at is null and status in ('pending', 'processing');

alter table app.tasks enable row level security;
-- What owners and leases both read has one policy for both. Two would make an "or" of two owners, and with it
-- a list reads and sorts all rows of its owner instead of the first few from an index. A "case" for the
-- lease, because the planner takes an equality for one row in hundreds and then prefers to sort, too.
create policy select_owner on app.tasks for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case when (select app.holds_lease()) then id = (select app.leased_task_id()) else true end
  );
create policy insert_owner on app.tasks for insert to rowhouse_api
  with check (
    user_id = (select app.current_user_id())
    and case
      when organization_id is not null then organization_id = any ((select app.member_organization_ids())::uuid[])
      else true
    end
  );
create policy update_owner on app.tasks for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy update_lease on app.tasks for update to rowhouse_api
  using (
    user_id = (select app.leased_user_id()) and id = (select app.leased_task_id()) and lease_id = (select app.leased_id())
  )
  with check (
    user_id = (select app.leased_user_id()) and id = (select app.leased_task_id())
    and deleted_at is null and status in ('processing', 'completed', 'error')
  );
grant
  select,
  insert (organization_id, title, prompt, repo_url, agent, model, options),
  update (
    title, status, progress, branch_name, sandbox_url, preview_url, pr_url, pr_number, pr_status, pr_merge_commit_sha,
    agent_session_id, sandbox_id, result, error, last_log_seq, last_message_seq, last_event_seq, started_at, completed_at,
    deleted_at, deletion_id
  )
on app.tasks to rowhouse_api;

create trigger tasks_touch_updated_at before update on app.tasks
  for each row execute function app.touch_updated_at();
comment on trigger tasks_touch_updated_at on app.tasks is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.unname_task_lease() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.lease_id := null;
  return new;
end
$$;
comment on function app.unname_task_lease() is
  'Takes the lease''s name off a task that is over, stopped or removed.';
create trigger tasks_unname_lease before update on app.tasks
  for each row
  when (old.status = 'processing' and (new.status <> 'processing' or new.deleted_at is not null))
  execute function app.unname_task_lease();
comment on trigger tasks_unname_lease on app.tasks is
  E'Takes the lease off a task that is over or removed.\n\n'
  'Whoever writes under a lease must meet its end in the task''s own row.';

create function app.end_task_lease() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update app.task_leases l set ended_at = now()
  where l.user_id = new.user_id and l.task_id = new.id and l.ended_at is null;
  return null;
end
$$;
comment on function app.end_task_lease() is 'Ends the lease of a task that is over, stopped or removed.';
create trigger tasks_end_lease after update of status, deleted_at on app.tasks
  for each row
  when (old.status = 'processing' and (new.status <> 'processing' or new.deleted_at is not null))
  execute function app.end_task_lease();
comment on trigger tasks_end_lease on app.tasks is
  E'Ends the lease of a task that is over or removed.\n\nA stopped task''s worker writes nothing more.';

create function app.mark_approvals_with_task() returns trigger
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
comment on function app.mark_approvals_with_task() is
  'Hides a removed task''s approvals, and brings back those that went with it.';
create trigger tasks_mark_approvals after update of deleted_at on app.tasks
  for each row
  when ((old.deleted_at is null) <> (new.deleted_at is null))
  execute function app.mark_approvals_with_task();
comment on trigger tasks_mark_approvals on app.tasks is
  E'Removes a removed task''s approvals with it, and brings them back with it.\n\n'
  'Nobody should be asked to decide for a task that is gone.';
create trigger tasks_require_membership after insert or update of organization_id on app.tasks
  for each row when (new.organization_id is not null) execute function app.require_membership();
comment on trigger tasks_require_membership on app.tasks is
  E'Refuses a row that names an organization to which its owner does not belong.\n\n'
  'Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

grant execute on function app.search_words, app.search_vector, app.search_query to rowhouse_api;

-- migrate:down

drop table app.tasks;
drop function
  app.search_words, app.search_vector, app.search_query, app.unname_task_lease, app.end_task_lease,
  app.mark_approvals_with_task;
