-- Content: what creators write and publish, for themselves or for an organization of theirs.
--
-- A creator writes; the members of the organization read along; everyone reads what is published, through the
-- public login, which sees published rows by a policy of its own and has no part in the API's. Lists and
-- searches of the public go through a function: matching text is not leakproof, so its index would go unused
-- behind a policy.
--
-- Content leaves its organization when that is removed and when its creator leaves, by whatever statement: it
-- becomes a draft on the creator's own page, under another slug where its own is taken there. Whoever writes
-- slugs of a creator's own page holds a lock of that page's, shared, and whoever brings content there holds
-- it alone: so this never meets a slug that it did not see. The lock is no row's: other tables' foreign keys
-- hold the creator's row in an order of their own.
--
-- What was removed goes with its parent and comes back with it: app.follow_deletion hands a deletion's mark
-- on, and takes it from exactly the rows that have it.

-- migrate:up

create function app.lock_page(p_user_id uuid, p_is_shared boolean) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  key bigint := hashtextextended('app.content ' || p_user_id::text, 0);
begin
  if p_is_shared then
    perform pg_advisory_xact_lock_shared(key);
  else
    perform pg_advisory_xact_lock(key);
  end if;
end
$$;
comment on function app.lock_page(uuid, boolean) is
  'Locks a creator''s own page until the transaction ends. Not granted to anyone: triggers call it.';

create table app.content (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  organization_id uuid,
  media_item_id uuid,
  title text not null,
  slug text not null,
  description text,
  body text,
  content_type text not null,
  status text not null default 'draft',
  published_at timestamptz,
  tags text[] not null default '{}',
  deleted_at timestamptz,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  search tsvector not null generated always as (
    setweight(app.search_vector(title), 'A')
      || setweight(app.search_vector(coalesce(description, '')), 'B')
      || setweight(app.search_vector(coalesce(body, '')), 'C')
  ) stored,
  constraint content_pkey primary key (user_id, id),
  constraint content_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint content_user_id_media_item_id_fkey foreign key (user_id, media_item_id)
    references app.media_items (user_id, id) on delete set null (media_item_id),
  constraint content_slug_check check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) <= 100),
  constraint content_content_type_check check (content_type in ('video', 'audio', 'written')),
  constraint content_status_check check (status in ('draft', 'published', 'archived')),
  constraint content_published_at_check check (status <> 'published' or published_at is not null),
  -- What is removed may outlive its file, and is not restored without one.
  constraint content_media_item_id_check
    check (content_type = 'written' or media_item_id is not null or deleted_at is not null),
  constraint content_deleted_at_check check ((deleted_at is null) = (deletion_id is null))
);
comment on table app.content is
  'What a creator writes and publishes: an article, or a video or a recording with its text.';
comment on column app.content.organization_id is
  'For whom it was made; its members read it. Null on the creator''s own page.';
comment on column app.content.deletion_id is
  'Marks all rows that went with one deletion, so that restoring brings back exactly those.';
create unique index content_user_id_slug_key on app.content (user_id, slug)
  where organization_id is null and deleted_at is null;
create unique index content_organization_id_slug_key on app.content (organization_id, slug)
  where organization_id is not null and deleted_at is null;
create index content_user_id_status_id_idx on app.content (user_id, status, id desc) where deleted_at is null;
create index content_organization_id_id_idx on app.content (organization_id, id desc) where organization_id is not null;
create index content_organization_id_user_id_idx on app.content (organization_id, user_id) where organization_id is not null;
create index content_user_id_media_item_id_idx on app.content (user_id, media_item_id) where media_item_id is not null;
create index content_published_at_id_idx on app.content (published_at desc, id desc)
  where status = 'published' and deleted_at is null;
create index content_content_type_published_at_id_idx on app.content (content_type, published_at desc, id desc)
  where status = 'published' and deleted_at is null;
create index content_user_id_published_at_id_idx on app.content (user_id, published_at desc, id desc)
  where status = 'published' and deleted_at is null and organization_id is null;
create index content_organization_id_published_at_id_idx on app.content (organization_id, published_at desc, id desc)
  where status = 'published' and deleted_at is null and organization_id is not null;
create index content_search_idx on app.content using gin (search) where status = 'published' and deleted_at is null;
create index content_tags_idx on app.content using gin (tags) where status = 'published' and deleted_at is null;

alter table app.content enable row level security;
create policy select_owner on app.content for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy select_member on app.content for select to rowhouse_api
  using (
    organization_id = any ((select app.member_organization_ids())::uuid[])
    and deleted_at is null
    and user_id <> all ((select app.removed_user_ids())::uuid[])
  );
create policy insert_owner on app.content for insert to rowhouse_api
  with check (
    user_id = (select app.current_user_id())
    and case
      when organization_id is not null then organization_id = any ((select app.member_organization_ids())::uuid[])
      else true
    end
  );
create policy update_owner on app.content for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
create policy select_published on app.content for select to rowhouse_public
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
grant
  select,
  insert (organization_id, media_item_id, title, slug, description, body, content_type, tags),
  update (
    media_item_id, title, slug, description, body, content_type, status, published_at, tags, deleted_at, deletion_id
  )
on app.content to rowhouse_api;
grant select (
  user_id, id, organization_id, media_item_id, title, slug, description, body, content_type, status, published_at, tags,
  created_at, updated_at
) on app.content to rowhouse_public;

create trigger content_touch_updated_at before update on app.content
  for each row execute function app.touch_updated_at();
comment on trigger content_touch_updated_at on app.content is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.unpublish_content_on_org_delete() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.status := 'draft';
  new.published_at := null;
  return new;
end
$$;
comment on function app.unpublish_content_on_org_delete() is
  'Makes a draft of content that leaves its organization, so that an organization''s work never shows up on '
  'a creator''s page.';
create trigger trigger_unpublish_on_org_delete before update on app.content
  for each row
  when (old.organization_id is not null and new.organization_id is null)
  execute function app.unpublish_content_on_org_delete();
comment on trigger trigger_unpublish_on_org_delete on app.content is
  E'Makes a draft of content whose organization goes from set to null.\n\n'
  'An organization''s work must never show up on its creator''s personal page by itself.';

create function app.hold_page() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.lock_page(new.user_id, true);
  return new;
end
$$;
comment on function app.hold_page() is
  'Lets nobody bring content to the creator''s own page while a slug is being written there, and the other '
  'way round.';
create trigger content_hold_page_on_insert before insert on app.content
  for each row when (new.organization_id is null) execute function app.hold_page();
comment on trigger content_hold_page_on_insert on app.content is
  E'Holds the creator''s own page while a slug is written there.\n\n'
  'Content that leaves its organization at the same moment must see that slug, and go around it.';
create trigger content_hold_page_on_update before update on app.content
  for each row
  when (
    old.organization_id is null and new.organization_id is null
    and (old.slug <> new.slug or old.deleted_at is not null and new.deleted_at is null)
  )
  execute function app.hold_page();
comment on trigger content_hold_page_on_update on app.content is
  E'Holds the creator''s own page while a slug changes there, or comes back with what was removed.\n\n'
  'Content that leaves its organization at the same moment must see that slug, and go around it.';

create function app.free_slug_on_org_delete() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  wanted text := new.slug;
  n integer := 1;
begin
  perform app.lock_page(new.user_id, false);
  while exists (
    select from app.content c
    where c.user_id = new.user_id and c.slug = new.slug and c.organization_id is null and c.deleted_at is null
      and c.id <> new.id
  ) loop
    n := n + 1;
    -- A creator with a hundred of one name gets one that nothing else has.
    new.slug := case
      when n <= 100 then left(wanted, 90) || '-' || n
      else left(wanted, 60) || '-' || replace(new.id::text, '-', '')
    end;
  end loop;
  return new;
end
$$;
comment on function app.free_slug_on_org_delete() is
  'Gives content that leaves its organization a slug that is free on its creator''s own page, so that '
  'nothing is in the way.';
create trigger content_free_slug_on_org_delete before update on app.content
  for each row
  when (old.organization_id is not null and new.organization_id is null and new.deleted_at is null)
  execute function app.free_slug_on_org_delete();
comment on trigger content_free_slug_on_org_delete on app.content is
  E'Numbers the slug of content that leaves its organization where its creator''s page has it already.\n\n'
  'A slug in the way must not keep an organization from being removed, or a member from leaving.';

create function app.check_content_parents() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  found_type text;
begin
  -- Both may be on their way out in a transaction that does not see this row yet: the locks make one wait for
  -- the other.
  if new.organization_id is not null and tg_op = 'INSERT' then
    perform from auth.organizations o where o.id = new.organization_id and o.deleted_at is null for share;
    if not found then
      raise exception 'content is not made for an organization that is removed' using
        errcode = 'foreign_key_violation', constraint = 'content_organization_id_user_id_fkey', table = 'content', schema = 'app';
    end if;
  end if;
  if new.media_item_id is not null and new.deleted_at is null then
    select m.media_type into found_type from app.media_items m
    where m.user_id = new.user_id and m.id = new.media_item_id and m.deleted_at is null
    for share;
    if not found then
      raise exception 'content does not stand on a media item that is removed' using
        errcode = 'foreign_key_violation', constraint = 'content_user_id_media_item_id_fkey', table = 'content', schema = 'app';
    end if;
    if new.content_type <> 'written' and new.content_type <> found_type then
      raise exception 'a media item of the type % makes no content of the type %', found_type, new.content_type using
        errcode = 'check_violation', constraint = 'content_media_type_check', table = 'content', schema = 'app';
    end if;
  end if;
  return null;
end
$$;
comment on function app.check_content_parents() is
  'Keeps content off what is removed, and videos and recordings to files of their kind.';
create trigger content_check_parents_on_insert after insert on app.content
  for each row execute function app.check_content_parents();
comment on trigger content_check_parents_on_insert on app.content is
  E'Refuses content for a removed organization, on a removed media item, or on a file of another kind.\n\n'
  'Nothing new may hang on what is being removed at the same moment: it would stay visible without it.';
create trigger content_check_parents_on_update after update on app.content
  for each row
  when (
    (old.media_item_id, old.content_type, old.deleted_at)
    is distinct from (new.media_item_id, new.content_type, new.deleted_at)
  )
  execute function app.check_content_parents();
comment on trigger content_check_parents_on_update on app.content is
  E'Refuses the same when a media item is replaced, and when content is restored.\n\n'
  'A video can''t come back without its file.';
create trigger content_require_membership after insert or update of organization_id on app.content
  for each row when (new.organization_id is not null) execute function app.require_membership();
comment on trigger content_require_membership on app.content is
  E'Refuses a row that names an organization to which its owner does not belong.\n\n'
  'Nobody puts a row into an organization that is not theirs, as a foreign key would see to.';

-- migrate:down

drop table app.content;
drop function
  app.lock_page, app.unpublish_content_on_org_delete, app.hold_page, app.free_slug_on_org_delete,
  app.check_content_parents;
