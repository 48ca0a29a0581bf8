-- Approvals, and the sequences that number their changes.
--
-- An approval is its requester's, and perhaps an organization's, whose members see it. Nobody writes the
-- table: it is requested, decided, cancelled and expired by the functions below, which derive their caller
-- from the transaction's credential. A decision is bound to the hash of what was shown (SHA-256 of canonical
-- JSON, RFC 8785), is made once, and moves the tool call that waits for it in the same transaction.
--
-- Locks are taken in one order: organization, task, tool call, approval, and the sequences last.
--
-- Each change of an approval takes the next number of its requester's sequence and of its organization's,
-- under the sequence's row lock and so in commit order. The approval keeps the last ones, so that "what
-- changed after 41" is a range of an index, and who comes back sees the newest state of everything that
-- changed.

-- migrate:up

create table app.approvals (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  organization_id uuid,
  task_id uuid,
  tool_call_id uuid,
  kind text not null,
  title text not null,
  payload jsonb not null,
  tool text,
  arguments jsonb,
  payload_hash bytea not null,
  priority smallint not null default 1,
  requested_by text not null,
  status text not null default 'pending',
  decided_by uuid,
  decided_at timestamptz,
  note text,
  expires_at timestamptz,
  event_seq integer not null,
  organization_event_seq integer,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint approvals_pkey primary key (user_id, id),
  constraint approvals_user_id_event_seq_key unique (user_id, event_seq),
  constraint approvals_organization_id_organization_event_seq_key unique (organization_id, organization_event_seq),
  constraint approvals_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  -- Not to the membership: an approval stays its organization's when the requester leaves, and is not theirs
  -- to decide then.
  constraint approvals_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade,
  constraint approvals_user_id_task_id_fkey foreign key (user_id, task_id)
    references app.tasks (user_id, id) on delete cascade,
  constraint approvals_user_id_tool_call_id_fkey foreign key (user_id, tool_call_id)
    references app.tool_calls (user_id, id) on delete cascade,
  constraint approvals_decided_by_fkey foreign key (decided_by) references auth.users (id) on delete set null,
  constraint approvals_status_check check (status in ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
  constraint approvals_priority_check check (priority between 0 and 3),
  constraint approvals_requested_by_check check (requested_by in ('session', 'token', 'lease')),
  constraint approvals_payload_hash_check check (octet_length(payload_hash) = 32),
  constraint approvals_decided_at_check check ((status = 'pending') = (decided_at is null)),
  constraint approvals_tool_call_id_check
    check ((tool_call_id is null) = (tool is null) and (tool_call_id is null) = (arguments is null)),
  constraint approvals_organization_event_seq_check check ((organization_id is null) = (organization_event_seq is null))
);
comment on table app.approvals is
  'What somebody is asked to allow, and what they said. Written by functions only.';
comment on column app.approvals.tool is
  'The tool of the call, as it was when approval was requested; with its arguments, what is approved.';
comment on column app.approvals.payload_hash is
  'Of the tool call''s arguments, or of the payload where there is no call.';
comment on column app.approvals.requested_by is 'By which kind of credential of the requester''s.';
comment on column app.approvals.decided_at is 'When it stopped being pending, however that came.';
comment on column app.approvals.event_seq is 'The number of its last change in its requester''s sequence.';
comment on column app.approvals.organization_event_seq is
  'The number of its last change in its organization''s sequence.';
comment on column app.approvals.deletion_id is 'Set while its task or its organization is removed.';
create unique index approvals_user_id_tool_call_id_pending_key on app.approvals (user_id, tool_call_id)
  where status = 'pending';
create index approvals_user_id_task_id_idx on app.approvals (user_id, task_id);
create index approvals_user_id_tool_call_id_idx on app.approvals (user_id, tool_call_id);
create index approvals_user_id_priority_id_idx on app.approvals (user_id, priority desc, id desc);
create index approvals_organization_id_priority_id_idx on app.approvals (organization_id, priority desc, id desc);
create index approvals_organization_id_id_idx on app.approvals (organization_id, id);
create index approvals_decided_by_idx on app.approvals (decided_by);
create index approvals_expires_at_idx on app.approvals (expires_at) where status = 'pending';

alter table app.approvals enable row level security;
create policy select_owner on app.approvals for select to rowhouse_api
  using (
    user_id = (select app.current_owner_id())
    and case when (select app.holds_lease()) then task_id = (select app.leased_task_id()) else true end
  );
create policy select_member on app.approvals for select to rowhouse_api
  using (
    organization_id = any ((select app.member_organization_ids())::uuid[])
    and user_id <> all ((select app.removed_user_ids())::uuid[])
  );
grant select on app.approvals to rowhouse_api;

create trigger approvals_touch_updated_at before update on app.approvals
  for each row execute function app.touch_updated_at();
comment on trigger approvals_touch_updated_at on app.approvals is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create table app.approval_sequences (
  user_id uuid not null,
  last_seq integer not null,
  constraint approval_sequences_pkey primary key (user_id),
  constraint approval_sequences_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table app.approval_sequences is 'The last number given to a change of a user''s approvals.';

alter table app.approval_sequences enable row level security;
create policy select_owner on app.approval_sequences for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
grant select on app.approval_sequences to rowhouse_api;

create table app.organization_approval_sequences (
  organization_id uuid not null,
  last_seq integer not null,
  constraint organization_approval_sequences_pkey primary key (organization_id),
  constraint organization_approval_sequences_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade
);
comment on table app.organization_approval_sequences is
  'The last number given to a change of an organization''s approvals.';

alter table app.organization_approval_sequences enable row level security;
create policy select_member on app.organization_approval_sequences for select to rowhouse_api
  using (organization_id = any ((select app.member_organization_ids())::uuid[]));
grant select on app.organization_approval_sequences to rowhouse_api;

-- The functions from here to app.settle_approval are not granted to anyone: those below call them.
create function app.next_approval_seq(p_user_id uuid) returns integer
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into app.approval_sequences as s (user_id, last_seq) values (p_user_id, 1)
  on conflict (user_id) do update set last_seq = s.last_seq + 1
  returning s.last_seq
$$;
comment on function app.next_approval_seq(uuid) is
  'The next number of a user''s approvals. Locks their sequence until the commit.';

create function app.next_organization_approval_seq(p_organization_id uuid) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  seq integer;
begin
  if p_organization_id is not null then
    insert into app.organization_approval_sequences as s (organization_id, last_seq) values (p_organization_id, 1)
    on conflict (organization_id) do update set last_seq = s.last_seq + 1
    returning s.last_seq into seq;
  end if;
  return seq;
end
$$;
comment on function app.next_organization_approval_seq(uuid) is
  'The same for an organization''s; null for none. Taken after the requester''s.';

create function app.lock_approval(p_user_id uuid, p_id uuid) returns app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  approval app.approvals;
begin
  perform from app.tool_calls c
  where c.user_id = p_user_id
    and c.id = (select a.tool_call_id from app.approvals a where a.user_id = p_user_id and a.id = p_id)
  for no key update;
  select * into approval from app.approvals a where a.user_id = p_user_id and a.id = p_id for update;
  return approval;
end
$$;
comment on function app.lock_approval(uuid, uuid) is
  'Locks an approval''s tool call, and then the approval, as it is under the locks.';

create function app.settle_approval(p_approval app.approvals, p_status text, p_decided_by uuid, p_note text) returns app.approvals
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  settled app.approvals;
  seq integer;
begin
  update app.tool_calls c
  set
    status = case when p_status = 'approved' then 'running' else 'denied' end,
    started_at = case when p_status = 'approved' then now() end,
    finished_at = case when p_status <> 'approved' then now() end,
    error = case p_status when 'rejected' then 'the approval was rejected' when 'expired' then 'the approval expired' end
  where p_status in ('approved', 'rejected', 'expired')
    and c.user_id = p_approval.user_id and c.id = p_approval.tool_call_id and c.status = 'awaiting_approval';
  seq := app.next_approval_seq(p_approval.user_id);
  update app.approvals a
  set
    status = p_status,
    decided_by = p_decided_by,
    decided_at = now(),
    note = p_note,
    event_seq = seq,
    organization_event_seq = app.next_organization_approval_seq(a.organization_id)
  where a.user_id = p_approval.user_id and a.id = p_approval.id
  returning * into settled;
  return settled;
end
$$;
comment on function app.settle_approval(app.approvals, text, uuid, text) is
  'Ends a pending approval that its caller has locked: approved lets its tool call run, rejected and '
  'expired deny it, and cancelled leaves it waiting.';

-- migrate:down

drop function app.lock_approval, app.settle_approval;
drop table app.organization_approval_sequences, app.approval_sequences, app.approvals;
drop function app.next_approval_seq, app.next_organization_approval_seq;
