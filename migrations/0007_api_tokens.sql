-- API tokens: credentials for programs.
--
-- A token may be bound to an organization of its owner's: only a member can bind it, and it ends with the
-- membership.

-- migrate:up

create table app.api_tokens (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  organization_id uuid,
  name text not null,
  prefix text not null,
  token_hash bytea not null,
  scopes text[] not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  replaced_by uuid,
  grace_until timestamptz,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint api_tokens_pkey primary key (user_id, id),
  constraint api_tokens_token_hash_key unique (token_hash),
  constraint api_tokens_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint api_tokens_user_id_replaced_by_fkey foreign key (user_id, replaced_by)
    references app.api_tokens (user_id, id) on delete set null (replaced_by),
  constraint api_tokens_name_check check (length(name) between 1 and 100),
  constraint api_tokens_token_hash_check check (octet_length(token_hash) = 32)
);
comment on table app.api_tokens is
  'Credentials for programs: shown once, stored as a hash of a hash, with scopes of their own.';
comment on column app.api_tokens.grace_until is 'Set when the token was rotated: it is refused from then on.';
comment on column app.api_tokens.deletion_id is
  'Set while the organization that the token is bound to is removed: it is refused until that is restored.';
create index api_tokens_organization_id_idx on app.api_tokens (organization_id, user_id);
create index api_tokens_user_id_replaced_by_idx on app.api_tokens (user_id, replaced_by);

alter table app.api_tokens enable row level security;
create policy select_owner on app.api_tokens for select to rowhouse_api
  using (user_id = (select app.current_session_user_id()));
create policy insert_owner on app.api_tokens for insert to rowhouse_api
  with check (user_id = (select app.current_session_user_id()));
create policy update_owner on app.api_tokens for update to rowhouse_api
  using (user_id = (select app.current_session_user_id()))
  with check (user_id = (select app.current_session_user_id()));
grant
  select (
    user_id, id, organization_id, name, prefix, scopes, expires_at, last_used_at, revoked_at, replaced_by, grace_until,
    deletion_id, created_at, updated_at
  ),
  insert (organization_id, name, prefix, token_hash, scopes, expires_at),
  update (revoked_at, replaced_by, grace_until)
on app.api_tokens to rowhouse_api;

create trigger api_tokens_touch_updated_at before update on app.api_tokens
  for each row execute function app.touch_updated_at();
comment on trigger api_tokens_touch_updated_at on app.api_tokens is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';
create trigger api_tokens_end_leases before delete on app.api_tokens
  for each row execute function app.end_credential_leases();
comment on trigger api_tokens_end_leases on app.api_tokens is
  E'Ends the leases that were claimed with an API token.\n\n'
  'A worker may do no more than what it was started with.';
create trigger api_tokens_require_membership after insert or update of organization_id on app.api_tokens
  for each row when (new.organization_id is not null) execute function app.require_membership();
comment on trigger api_tokens_require_membership on app.api_tokens is
  E'Refuses a row that names an organization to which its owner does not belong.\n\n'
  'Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

create function app.is_live(p_token app.api_tokens) returns boolean
language sql stable parallel safe
return p_token.revoked_at is null
  and (p_token.expires_at is null or p_token.expires_at > now())
  and (p_token.grace_until is null or p_token.grace_until > now())
  and p_token.deletion_id is null;
comment on function app.is_live(app.api_tokens) is
  'Whether an API token signs in: not revoked, not expired, not replaced for longer than its grace, and no '
  'removed organization''s.';

-- migrate:down

drop function app.is_live;
drop table app.api_tokens;
