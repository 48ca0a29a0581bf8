-- Tasks with their logs and messages.
--
-- Logs and messages are numbered per task. The numbers are handed out by the update that raises the task's last number, and
-- so under its row lock: gapless and in commit order, which makes "everything after 41" a complete answer. Logs are
-- append-only: nothing grants their change or removal.
--
-- Search leads with the owner's key: matching text is not leakproof, so a text index would go unused behind a policy. The
-- search vector is stored, so that a search compares the owner's rows without parsing them.

-- migrate:up

-- Postgres's own parser takes a path, a host name or a compound for one word, and on a server whose LC_CTYPE is C it takes every
-- sign outside ASCII for a letter. Here the signs between words are named by their code points, so that a text has the same words
-- on every server: those of /src/app/page.tsx are src, app, page and tsx.
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
  'The words of a text in lower case, with one space between two. Signs are named by code point: no locale decides.';

create function app.search_vector(value text) returns tsvector
language sql immutable parallel safe
return to_tsvector('simple', app.search_words(value));
comment on function app.search_vector(text) is 'What the column search of a text holds.';

-- Words that signs join must follow each other, and the last word may be the beginning of one, as it is while somebody types.
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
  'Reads a search in web search syntax; its last word, unless quoted or excluded, matches by prefix. Empty where it has no words.';

revoke execute on function app.search_words(text), app.search_vector(text), app.search_query(text) from public;
grant execute on function app.search_words(text), app.search_vector(text), app.search_query(text) to rowhouse_api;

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
  error text,
  last_log_seq integer not null default 0,
  last_message_seq integer not null default 0,
  started_at timestamptz,
  completed_at timestamptz,
  deleted_at timestamptz,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  search tsvector not null generated always as (app.search_vector(title || ' ' || prompt)) stored,
  constraint tasks_pkey primary key (user_id, id),
  constraint tasks_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint tasks_organization_id_user_id_fkey foreign key (organization_id, user_id)
    references auth.members (organization_id, user_id) on delete set null (organization_id),
  constraint tasks_status_check check (status in ('pending', 'processing', 'completed', 'error', 'stopped')),
  constraint tasks_progress_check check (progress between 0 and 100),
  constraint tasks_pr_status_check check (pr_status in ('open', 'closed', 'merged')),
  -- Read for all users at once, by whoever looks for a task to claim or to end: one that can't be read would stop them.
  constraint tasks_options_check check (options ->> 'maxDurationSeconds' ~ '^[1-9][0-9]{0,4}$'),
  constraint tasks_deleted_at_check check ((deleted_at is null) = (deletion_id is null))
);
comment on table app.tasks is 'Work for an agent: a prompt, its progress and what came of it.';
comment on column app.tasks.deletion_id is 'Marks all rows that went with one deletion, so that restoring brings back exactly those.';
create index tasks_user_id_status_id_idx on app.tasks (user_id, status, id desc) where deleted_at is null;
create index tasks_organization_id_user_id_idx on app.tasks (organization_id, user_id) where organization_id is not null;
create trigger tasks_touch_updated_at before update on app.tasks
  for each row execute function app.touch_updated_at();

alter table app.tasks enable row level security;
create policy select_owner on app.tasks for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
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
grant
  select,
  insert (organization_id, title, prompt, repo_url, agent, model, options),
  update (
    title, status, progress, branch_name, sandbox_url, preview_url, pr_url, pr_number, pr_status, pr_merge_commit_sha,
    agent_session_id, sandbox_id, error, last_log_seq, last_message_seq, started_at, completed_at, deleted_at, deletion_id
  )
on app.tasks to rowhouse_api;

create table app.task_logs (
  user_id uuid not null default app.current_owner_id(),
  task_id uuid not null,
  seq integer not null,
  type text not null,
  message text not null,
  at timestamptz not null default now(),
  constraint task_logs_pkey primary key (user_id, task_id, seq),
  constraint task_logs_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_logs_type_check check (type in ('info', 'command', 'error', 'success')),
  constraint task_logs_seq_check check (seq > 0)
);
comment on table app.task_logs is 'What a task reports, line by line. Append-only.';

alter table app.task_logs enable row level security;
create policy select_owner on app.task_logs for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.task_logs for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
grant select, insert (task_id, seq, type, message) on app.task_logs to rowhouse_api;

create table app.task_messages (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  task_id uuid not null,
  seq integer not null,
  role text not null,
  content text not null,
  status text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint task_messages_pkey primary key (user_id, id),
  constraint task_messages_user_id_task_id_seq_key unique (user_id, task_id, seq),
  constraint task_messages_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_messages_role_check check (role in ('user', 'agent')),
  constraint task_messages_status_check check (status in ('streaming', 'complete', 'failed')),
  constraint task_messages_seq_check check (seq > 0)
);
comment on table app.task_messages is 'The conversation between a user and the agent of a task.';
create trigger task_messages_touch_updated_at before update on app.task_messages
  for each row execute function app.touch_updated_at();

alter table app.task_messages enable row level security;
create policy select_owner on app.task_messages for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.task_messages for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
grant select, insert (task_id, seq, role, content, status) on app.task_messages to rowhouse_api;

-- migrate:down

drop table app.task_messages;
drop table app.task_logs;
drop table app.tasks;
drop function app.search_query(text);
drop function app.search_vector(text);
drop function app.search_words(text);
