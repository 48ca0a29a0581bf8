-- Streams: whether those who follow one may still read it.

-- migrate:up

create function app.check_streams(
  p_credentials text[], p_organizations uuid[], p_task_ids uuid[],
  out n integer, out refusal text, out status text, out last_log_seq integer, out last_event_seq integer
) returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  asked record;
  credential text;
  organization uuid;
  scope text;
  caller uuid;
begin
  for asked in
    select
      a.credential, a.organization, a.task_id, a.n,
      case when a.task_id is null then 'approvals:read' else 'tasks:read' end as scope
    from unnest(p_credentials, p_organizations, p_task_ids) with ordinality as a (credential, organization, task_id, n)
    order by a.credential, a.organization, scope
  loop
    -- Once for all streams of one caller that ask the same of them.
    if (credential, organization, scope) is distinct from (asked.credential, asked.organization, asked.scope) then
      credential := asked.credential;
      organization := asked.organization;
      scope := asked.scope;
      caller := null;
      refusal := null;
      begin
        select a.user_id into caller from app.authenticate(credential, organization, scope) a;
      exception
        when invalid_authorization_specification or insufficient_privilege then
          refusal := sqlerrm;
      end;
    end if;
    n := asked.n;
    status := null;
    last_log_seq := null;
    last_event_seq := null;
    if asked.task_id is not null then
      select t.status, t.last_log_seq, t.last_event_seq
      into status, last_log_seq, last_event_seq
      from app.tasks t
      where t.user_id = caller and t.id = asked.task_id and t.deleted_at is null;
    elsif caller is not null then
      status := 'open';
      last_log_seq := 0;
      last_event_seq := coalesce(
        case
          when organization is null then (select s.last_seq from app.approval_sequences s where s.user_id = caller)
          else (select s.last_seq from app.organization_approval_sequences s where s.organization_id = organization)
        end,
        0
      );
    end if;
    return next;
  end loop;
end
$$;
comment on function app.check_streams(text[], uuid[], uuid[]) is
  'For each credential, organization and task of a stream: why its caller is refused, or the task''s state '
  'and last numbers; without a status, the task is not there. Without a task, of the organization''s '
  'approvals, or of the caller''s own.';

grant execute on function app.check_streams to rowhouse_system;

-- migrate:down

drop function app.check_streams;
