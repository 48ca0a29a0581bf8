-- What a task's worker and its owner write: logs, messages, and the events that number what happens to
-- messages.
--
-- Logs and messages are numbered per task. The numbers are handed out by the update that raises the task's
-- last number, and so under its row lock: gapless and in commit order, which makes "everything after 41" a
-- complete answer. Logs are append-only: nothing grants their change or removal.
--
-- A streamed message starts empty and grows by rows, which are folded into its content when it finishes:
-- growing one row would write the whole text again for every delta. Events are numbered under the task's row
-- lock, like logs, so that a reader who knows the number of the last event it saw misses none. Offsets and
-- lengths count UTF-16 code units, as JavaScript does.

-- migrate:up

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
  using (
    user_id = (select app.current_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );
create policy insert_owner on app.task_logs for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy insert_lease on app.task_logs for insert to rowhouse_api
  with check (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()));
grant select, insert (task_id, seq, type, message) on app.task_logs to rowhouse_api;

create table app.task_messages (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  task_id uuid not null,
  seq integer not null,
  role text not null,
  content text not null,
  length integer not null default 0,
  status text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint task_messages_pkey primary key (user_id, id),
  constraint task_messages_user_id_task_id_seq_key unique (user_id, task_id, seq),
  constraint task_messages_user_id_task_id_id_key unique (user_id, task_id, id),
  constraint task_messages_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_messages_role_check check (role in ('user', 'agent')),
  constraint task_messages_status_check check (status in ('streaming', 'complete', 'failed')),
  constraint task_messages_seq_check check (seq > 0)
);
comment on table app.task_messages is 'The conversation between a user and the agent of a task.';

alter table app.task_messages enable row level security;
create policy select_owner on app.task_messages for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );
create policy insert_owner on app.task_messages for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy insert_lease on app.task_messages for insert to rowhouse_api
  with check (
    user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()) and role = 'agent'
  );
create policy update_owner on app.task_messages for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy update_lease on app.task_messages for update to rowhouse_api
  using (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()) and role = 'agent')
  with check (
    user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()) and role = 'agent'
  );
grant
  select,
  insert (task_id, seq, role, content, length, status),
  update (content, length, status)
on app.task_messages to rowhouse_api;

create trigger task_messages_touch_updated_at before update on app.task_messages
  for each row execute function app.touch_updated_at();
comment on trigger task_messages_touch_updated_at on app.task_messages is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.task_message_deltas (
  user_id uuid not null default app.current_owner_id(),
  message_id uuid not null,
  "offset" integer not null,
  text text not null,
  constraint task_message_deltas_pkey primary key (user_id, message_id, "offset"),
  constraint task_message_deltas_user_id_message_id_fkey foreign key (user_id, message_id)
    references app.task_messages (user_id, id) on delete cascade,
  constraint task_message_deltas_offset_check check ("offset" >= 0)
);
comment on table app.task_message_deltas is
  'The parts of a message in the order they were written. Append-only; one part with all of the text a week '
  'after it was finished.';

alter table app.task_message_deltas enable row level security;
create policy select_owner on app.task_message_deltas for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case
      when (select app.holds_lease()) then exists (
        select from app.task_messages m
        where m.user_id = task_message_deltas.user_id and m.id = task_message_deltas.message_id
      )
      else true
    end
  );
create policy insert_owner on app.task_message_deltas for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy insert_lease on app.task_message_deltas for insert to rowhouse_api
  with check (
    user_id = (select app.leased_user_id())
    and exists (
      select from app.task_messages m
      where m.user_id = task_message_deltas.user_id and m.id = task_message_deltas.message_id and m.role = 'agent'
    )
  );
grant select, insert (message_id, "offset", text) on app.task_message_deltas to rowhouse_api;

create table app.task_events (
  user_id uuid not null default app.current_owner_id(),
  task_id uuid not null,
  seq integer not null,
  kind text not null,
  message_id uuid not null,
  "offset" integer,
  at timestamptz not null default now(),
  constraint task_events_pkey primary key (user_id, task_id, seq),
  constraint task_events_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint task_events_user_id_task_id_message_id_fkey foreign key (user_id, task_id, message_id)
    references app.task_messages (user_id, task_id, id) on delete cascade,
  constraint task_events_kind_check check (kind in ('message', 'delta', 'finished')),
  constraint task_events_offset_check check ((kind = 'delta') = ("offset" is not null)),
  constraint task_events_seq_check check (seq > 0)
);
comment on table app.task_events is
  'What happened to a task''s messages, in order. Append-only, until a message''s deltas become one.';
create index task_events_user_id_task_id_message_id_idx on app.task_events (user_id, task_id, message_id);
-- What is not folded yet, oldest first.
create index task_events_at_idx on app.task_events (at) where kind = 'delta' and "offset" > 0;

alter table app.task_events enable row level security;
create policy select_owner on app.task_events for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );
create policy insert_owner on app.task_events for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy insert_lease on app.task_events for insert to rowhouse_api
  with check (user_id = (select app.leased_user_id()) and task_id = (select app.leased_task_id()));
grant select, insert (task_id, seq, kind, message_id, "offset") on app.task_events to rowhouse_api;

-- A message of 100 kB can have 5,000 deltas, each a row with an event, for readers who were cut off while it
-- grew. A week later nobody was: one delta with all of the text, under the last one's number, tells the same
-- from the beginning.
create function app.fold_message_deltas() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  message record;
  folded integer := 0;
  parts integer;
  removed integer := 0;
begin
  for message in
    select m.user_id, m.task_id, m.id, m.content
    from app.task_messages m
    join app.tasks t on t.user_id = m.user_id and t.id = m.task_id
    where (m.user_id, m.id) in (
      select e.user_id, e.message_id
      from app.task_events e
      join app.task_messages done on done.user_id = e.user_id and done.id = e.message_id
      where e.kind = 'delta'
        and e."offset" > 0
        and e.at < now() - interval '7 days'
        and done.status <> 'streaming'
        and done.updated_at < now() - interval '7 days'
      order by e.at
      limit 1000
    )
    limit 50
    -- The task first, as everyone does who needs both.
    for update of t skip locked
  loop
    update app.task_message_deltas d set text = message.content
    where d.user_id = message.user_id and d.message_id = message.id and d."offset" = 0;
    delete from app.task_message_deltas d
    where d.user_id = message.user_id and d.message_id = message.id and d."offset" > 0;
    get diagnostics parts = row_count;
    removed := removed + parts;
    delete from app.task_events e
    where e.user_id = message.user_id
      and e.task_id = message.task_id
      and e.message_id = message.id
      and e.kind = 'delta'
      and e.seq < (
        select max(newest.seq) from app.task_events newest
        where newest.user_id = message.user_id
          and newest.task_id = message.task_id
          and newest.message_id = message.id
          and newest.kind = 'delta'
      );
    update app.task_events e set "offset" = 0
    where e.user_id = message.user_id
      and e.task_id = message.task_id
      and e.message_id = message.id
      and e.kind = 'delta';
    folded := folded + 1;
    -- However long the messages are, a call ends well before its deadline; one that it cut off would begin
    -- with the same again.
    exit when removed >= 20000;
  end loop;
  return folded;
end
$$;
comment on function app.fold_message_deltas() is
  'Makes one delta of each message''s that was finished more than a week ago, of at most fifty messages, '
  'and returns of how many.';

grant execute on function app.fold_message_deltas to rowhouse_system;

-- migrate:down

drop table app.task_events, app.task_message_deltas, app.task_messages, app.task_logs;
drop function app.fold_message_deltas;
