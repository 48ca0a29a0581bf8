-- Organizations, their members and invitations: tables that Better Auth keeps.
--
-- A removed organization keeps its row, which no login sees, Better Auth's included. Rows bound to the
-- organization are marked with its deletion_id; restoring the organization within 30 days clears exactly those
-- marks.

-- migrate:up

create table auth.organizations (
  id uuid not null default app.new_id(),
  name text not null,
  slug text not null,
  logo text,
  metadata text,
  require_two_factor boolean not null default false,
  allow_self_approval boolean not null default false,
  deleted_at timestamptz,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint organizations_pkey primary key (id),
  constraint organizations_name_check check (
    char_length(name) <= 100
    and btrim(name) <> ''
    and name !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]'
  ),
  constraint organizations_slug_check check (char_length(slug) <= 63 and slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  constraint organizations_logo_check check (char_length(logo) <= 2048 and logo ~* '^https?://[^\u0001-\u0020\u007f]+$'),
  constraint organizations_metadata_check check (octet_length(metadata) <= 16384)
);
comment on table auth.organizations is
  'Teams. Removing one hides it; its row stays, so that it can be restored within 30 days.';
create unique index organizations_slug_key on auth.organizations (slug) where deleted_at is null;

alter table auth.organizations enable row level security;
create policy all_auth on auth.organizations for all to rowhouse_auth
  using (deleted_at is null) with check (deleted_at is null);
create policy select_member on auth.organizations for select to rowhouse_api
  using (id = any ((select app.member_organization_ids())::uuid[]));
grant select, insert, update, delete on auth.organizations to rowhouse_auth;
grant select (id, name, slug, logo) on auth.organizations to rowhouse_api;

create trigger organizations_touch_updated_at before update on auth.organizations
  for each row execute function app.touch_updated_at();
comment on trigger organizations_touch_updated_at on auth.organizations is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.detach_organization_content() returns trigger
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
comment on function app.detach_organization_content() is
  'Leaves an organization''s content with its creators when it is removed.';
create trigger organizations_detach_content after update on auth.organizations
  for each row
  when (old.deleted_at is null and new.deleted_at is not null)
  execute function app.detach_organization_content();
comment on trigger organizations_detach_content on auth.organizations is
  E'Takes a removed organization''s content out of it, and so makes drafts of it.\n\n'
  'Content stays with its creators, and nothing of a removed organization stays published.';

create table auth.members (
  id uuid not null default app.new_id(),
  organization_id uuid not null,
  user_id uuid not null,
  role text not null default 'member',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint members_pkey primary key (id),
  constraint members_organization_id_user_id_key unique (organization_id, user_id),
  constraint members_role_check check (role in ('owner', 'admin', 'member')),
  constraint members_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade,
  constraint members_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.members is 'Who belongs to an organization, and as what.';
create index members_user_id_idx on auth.members (user_id, organization_id);

alter table auth.members enable row level security;
-- Better Auth's login sees no organization that is removed, and so none of its members and invitations
-- either.
create policy all_auth on auth.members for all to rowhouse_auth
  using (exists (select from auth.organizations o where o.id = organization_id))
  with check (exists (select from auth.organizations o where o.id = organization_id));
create policy select_member on auth.members for select to rowhouse_api
  using (organization_id = any ((select app.member_organization_ids())::uuid[]));
grant select, insert, update, delete on auth.members to rowhouse_auth;
grant select (organization_id, user_id, role) on auth.members to rowhouse_api;

create trigger members_touch_updated_at before update on auth.members
  for each row execute function app.touch_updated_at();
comment on trigger members_touch_updated_at on auth.members is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function auth.keep_last_owner() returns trigger
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
comment on function auth.keep_last_owner() is 'Refuses to remove or lower the last owner of an organization.';
create trigger members_keep_last_owner before update or delete on auth.members
  for each row execute function auth.keep_last_owner();
comment on trigger members_keep_last_owner on auth.members is
  E'Refuses to remove or lower the last owner of an organization.\n\n'
  'An organization without an owner is nobody''s to run.';

create function auth.cancel_former_inviters_invitations() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.invitations i set status = 'canceled'
  where i.organization_id = old.organization_id
    and i.inviter_id = old.user_id
    and i.status = 'pending'
    and (tg_op = 'DELETE' or new.role = 'member' or new.role = 'admin' and i.role = 'owner');
  return null;
end
$$;
comment on function auth.cancel_former_inviters_invitations() is
  'An invitation holds as long as its inviter could make it: nobody comes back, or in, by one of their own.';
create trigger members_cancel_invitations after delete or update of role on auth.members
  for each row when (old.role <> 'member') execute function auth.cancel_former_inviters_invitations();
comment on trigger members_cancel_invitations on auth.members is
  E'Cancels the open invitations of somebody who may no longer invite.\n\n'
  'Who was removed or lowered must not let anybody in by a mail that is on its way.';
create trigger members_follow_in_batches after delete on auth.members
  for each row execute function app.follow_in_batches('organization_id', 'user_id');
comment on trigger members_follow_in_batches on auth.members is
  E'Takes what a former member shared out of the organization, and ends the API tokens bound to it.\n\n'
  'A member with a hundred thousand tasks can leave, or be removed, as fast as any other.';

create table auth.invitations (
  id uuid not null default app.new_id(),
  organization_id uuid not null,
  inviter_id uuid not null,
  email text not null,
  role text not null default 'member',
  status text not null default 'pending',
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint invitations_pkey primary key (id),
  constraint invitations_role_check check (role in ('owner', 'admin', 'member')),
  constraint invitations_status_check check (status in ('pending', 'accepted', 'rejected', 'canceled')),
  constraint invitations_email_check check (
    char_length(email) <= 254 and email = lower(email) and email !~ '[\u0001-\u0020\u007f-\u00a0]'
  ),
  constraint invitations_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade,
  constraint invitations_inviter_id_fkey foreign key (inviter_id) references auth.users (id) on delete cascade
);
comment on table auth.invitations is 'Invitations into an organization, by mail address.';
create index invitations_organization_id_idx on auth.invitations (organization_id, status);
create index invitations_inviter_id_idx on auth.invitations (inviter_id);
create index invitations_email_idx on auth.invitations (email);

alter table auth.invitations enable row level security;
create policy all_auth on auth.invitations for all to rowhouse_auth
  using (exists (select from auth.organizations o where o.id = organization_id))
  with check (exists (select from auth.organizations o where o.id = organization_id));
grant select, insert, update, delete on auth.invitations to rowhouse_auth;

create trigger invitations_touch_updated_at before update on auth.invitations
  for each row execute function app.touch_updated_at();
comment on trigger invitations_touch_updated_at on auth.invitations is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

-- migrate:down

drop table auth.invitations, auth.members, auth.organizations;
drop function app.detach_organization_content, auth.keep_last_owner, auth.cancel_former_inviters_invitations;
