-- Content: what creators write and publish, for themselves or for an organization of theirs.
--
-- A creator writes; the members of the organization read along; everyone reads what is published, through the public login,
-- which sees published rows by a policy of its own and has no part in the API's. Lists and searches of the public go through a
-- function: matching text is not leakproof, so its index would go unused behind a policy.
--
-- Content leaves its organization when that is removed and when its creator leaves, by whatever statement: it becomes a draft on
-- the creator's own page, under another slug where its own is taken there. Whoever writes slugs of a creator's own page holds a
-- lock of that page's, shared, and whoever brings content there holds it alone: so this never meets a slug that it did not see.
-- The lock is no row's: other tables' foreign keys hold the creator's row in an order of their own.
--
-- What was removed goes with its parent and comes back with it: app.follow_deletion hands a deletion's mark on, and takes it from
-- exactly the rows that have it.

-- migrate:up

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
  constraint content_organization_id_user_id_fkey foreign key (organization_id, user_id)
    references auth.members (organization_id, user_id) on delete set null (organization_id),
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
comment on table app.content is 'What a creator writes and publishes: an article, or a video or a recording with its text.';
comment on column app.content.organization_id is 'For whom it was made; its members read it. Null on the creator''s own page.';
comment on column app.content.deletion_id is 'Marks all rows that went with one deletion, so that restoring brings back exactly those.';
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
create trigger content_touch_updated_at before update on app.content
  for each row execute function app.touch_updated_at();

alter table app.content enable row level security;
create policy select_owner on app.content for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy select_member on app.content for select to rowhouse_api
  using (organization_id = any ((select app.member_organization_ids())::uuid[]) and deleted_at is null);
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
  using (status = 'published' and deleted_at is null);
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
  'Makes a draft of content that leaves its organization, so that an organization''s work never shows up on a creator''s page.';
create trigger trigger_unpublish_on_org_delete before update on app.content
  for each row
  when (old.organization_id is not null and new.organization_id is null)
  execute function app.unpublish_content_on_org_delete();

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
  'Lets nobody bring content to the creator''s own page while a slug is being written there, and the other way round.';
create trigger content_hold_page_on_insert before insert on app.content
  for each row when (new.organization_id is null) execute function app.hold_page();
create trigger content_hold_page_on_update before update on app.content
  for each row
  when (
    old.organization_id is null and new.organization_id is null
    and (old.slug <> new.slug or old.deleted_at is not null and new.deleted_at is null)
  )
  execute function app.hold_page();

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
  'Gives content that leaves its organization a slug that is free on its creator''s own page, so that nothing is in the way.';
create trigger content_free_slug_on_org_delete before update on app.content
  for each row
  when (old.organization_id is not null and new.organization_id is null and new.deleted_at is null)
  execute function app.free_slug_on_org_delete();

create function app.detach_organization_content() returns trigger
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
comment on function app.detach_organization_content() is 'Leaves an organization''s content with its creators when it is removed.';
create trigger organizations_detach_content after update on auth.organizations
  for each row
  when (old.deleted_at is null and new.deleted_at is not null)
  execute function app.detach_organization_content();

create function app.check_content_parents() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  found_type text;
begin
  -- Both may be on their way out in a transaction that does not see this row yet: the locks make one wait for the other.
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
comment on function app.check_content_parents() is 'Keeps content off what is removed, and videos and recordings to files of their kind.';
create trigger content_check_parents_on_insert after insert on app.content
  for each row execute function app.check_content_parents();
create trigger content_check_parents_on_update after update on app.content
  for each row
  when (
    (old.media_item_id, old.content_type, old.deleted_at)
    is distinct from (new.media_item_id, new.content_type, new.deleted_at)
  )
  execute function app.check_content_parents();

create function app.follow_deletion() returns trigger
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
comment on function app.follow_deletion() is
  'Marks the rows that hang on a removed one with its deletion_id, and brings back those that have it when it is restored.
Arguments: the child''s table, its column with the parent''s id, and user_id where both tables belong to a user.';
create trigger media_items_remove_content after update on app.media_items
  for each row
  when (old.deletion_id is distinct from new.deletion_id)
  execute function app.follow_deletion('app.content', 'media_item_id', 'user_id');

create function app.shared_media(p_user_id uuid, p_media_item_id uuid) returns jsonb
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
comment on function app.shared_media(uuid, uuid) is
  'What members of an organization may know of the media item that a fellow member''s content in it stands on.';

create function app.published_content(
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
comment on function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer) is
  'Published content with its creator, organization and media item, newest or, in a search, best match first. Only what is asked
for by slug comes with its body.';

grant execute on function app.shared_media(uuid, uuid) to rowhouse_api;
grant execute on function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer) to rowhouse_public;

-- migrate:down

drop trigger media_items_remove_content on app.media_items;
drop trigger organizations_detach_content on auth.organizations;
drop table app.content;
drop function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer);
drop function app.shared_media(uuid, uuid);
drop function app.follow_deletion();
drop function app.check_content_parents();
drop function app.detach_organization_content();
drop function app.free_slug_on_org_delete();
drop function app.hold_page();
drop function app.lock_page(uuid, boolean);
drop function app.unpublish_content_on_org_delete();
