-- Media: what users upload, and the files that are to be removed.
--
-- A file's place in the store is made of the row's id and a file name that can't leave its folder. Neither is
-- the caller's to write: ids come from their default and the place is generated, so that no row can point at
-- another's file.
--
-- A row that fails or goes away leaves its files behind. A trigger puts their places on a list in the same
-- transaction, whatever statement did it; processes work it off, for both kinds of store. Every removal is
-- done twice: an upload address that was given out opens the place for a while longer.
--
-- An item is looked into from the moment that its owner completes the upload until it is ready or has failed.
-- The user's row is locked while that is counted, so that many completions at once meet the count. An item
-- that has not changed for five minutes is not counted: whoever looked into it has ended, and the sweep fails
-- it later.

-- migrate:up

create table app.file_removals (
  storage_key text not null,
  due_at timestamptz not null default now(),
  repeat_at timestamptz,
  created_at timestamptz not null default now(),
  constraint file_removals_pkey primary key (storage_key)
);
comment on table app.file_removals is
  'Files that nothing owns any more, until they are removed. No login reads or writes it but through '
  'functions.';
comment on column app.file_removals.due_at is
  'When to remove the file; of one that is being removed, when its claim ends.';
comment on column app.file_removals.repeat_at is 'When to remove it once more; null after that.';
create index file_removals_due_at_idx on app.file_removals (due_at);

alter table app.file_removals enable row level security;

create table app.media_items (
  user_id uuid not null default app.current_owner_id(),
  id uuid not null default app.new_id(),
  title text not null,
  description text,
  media_type text not null,
  mime_type text not null,
  file_name text not null,
  file_size_bytes bigint not null,
  status text not null default 'uploading',
  error text,
  storage_key text not null generated always as ('originals/' || id::text || '/' || file_name) stored,
  hls_master_playlist_key text,
  thumbnail_key text,
  duration_seconds double precision,
  width integer,
  height integer,
  uploaded_at timestamptz,
  deleted_at timestamptz,
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint media_items_pkey primary key (user_id, id),
  constraint media_items_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
  constraint media_items_media_type_check check (media_type in ('video', 'audio', 'image', 'document')),
  constraint media_items_mime_type_check check (mime_type ~ '^[a-z]+/[a-z0-9.+-]{1,100}$'),
  constraint media_items_file_name_check check (
    file_name !~ '[/\\[:cntrl:]]' and file_name !~ '^\.' and octet_length(file_name) between 1 and 200
  ),
  constraint media_items_file_size_bytes_check check (file_size_bytes > 0),
  constraint media_items_status_check
    check (status in ('uploading', 'uploaded', 'processing', 'ready', 'failed')),
  constraint media_items_error_check check ((error is not null) = (status = 'failed')),
  constraint media_items_ready_check check (
    status <> 'ready'
    or uploaded_at is not null
    and (
      media_type <> 'image'
      -- Images that can't be decoded here (HEIC, icons) are ready without their dimensions and thumbnail.
      or mime_type in ('image/heic', 'image/heif', 'image/vnd.microsoft.icon')
      or width is not null and height is not null and thumbnail_key is not null
    )
  ),
  constraint media_items_hls_master_playlist_key_check check (
    starts_with(hls_master_playlist_key, 'hls/' || id::text || '/') and strpos(hls_master_playlist_key, '..') = 0
  ),
  constraint media_items_thumbnail_key_check
    check (thumbnail_key = 'thumbnails/' || id::text || '/thumbnail.webp'),
  constraint media_items_duration_seconds_check check (duration_seconds between 0 and 1e9),
  constraint media_items_width_check check (width > 0),
  constraint media_items_height_check check (height > 0),
  constraint media_items_deleted_at_check check ((deleted_at is null) = (deletion_id is null))
);
comment on table app.media_items is
  'A file that its owner uploaded, or is about to, and what is known of it.';
comment on column app.media_items.storage_key is 'Where the file is in the store.';
comment on column app.media_items.file_size_bytes is 'As announced, and held against what arrived.';
comment on column app.media_items.error is 'Why the item failed, for its owner.';
comment on column app.media_items.deletion_id is
  'Marks all rows that went with one deletion, so that restoring brings back exactly those.';
create index media_items_user_id_status_id_idx on app.media_items (user_id, status, id desc) where deleted_at is null;
create index media_items_status_updated_at_idx on app.media_items (updated_at)
  where status in ('uploading', 'uploaded', 'processing');

alter table app.media_items enable row level security;
create policy select_owner on app.media_items for select to rowhouse_api
  using (user_id = (select app.current_user_id()));
create policy insert_owner on app.media_items for insert to rowhouse_api
  with check (user_id = (select app.current_user_id()));
create policy update_owner on app.media_items for update to rowhouse_api
  using (user_id = (select app.current_user_id()))
  with check (user_id = (select app.current_user_id()));
grant
  select,
  insert (title, description, media_type, mime_type, file_name, file_size_bytes),
  update (
    title, description, status, error, thumbnail_key, duration_seconds, width, height, uploaded_at, deleted_at, deletion_id
  )
on app.media_items to rowhouse_api;

create trigger media_items_touch_updated_at before update on app.media_items
  for each row execute function app.touch_updated_at();
comment on trigger media_items_touch_updated_at on app.media_items is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

create function app.list_file_removals() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.file_removals (storage_key, repeat_at)
  select key, greatest(old.created_at, now() - interval '1 day') + interval '2 days'
  -- Whoever was making the thumbnail may not have come to name it.
  from unnest(array[old.storage_key, 'thumbnails/' || old.id::text || '/thumbnail.webp']) key
  on conflict (storage_key) do nothing;
  return null;
end
$$;
comment on function app.list_file_removals() is
  'Lists the files of a media item that failed or went away, to be removed.';
create trigger media_items_list_file_removals_on_delete after delete on app.media_items
  for each row execute function app.list_file_removals();
comment on trigger media_items_list_file_removals_on_delete on app.media_items is
  E'Puts the files of a deleted media item on the list of files to remove.\n\n'
  'Deleting a user removes everything they own, files included.';
create trigger media_items_list_file_removals_on_failure after update on app.media_items
  for each row when (new.status = 'failed' and old.status <> 'failed')
  execute function app.list_file_removals();
comment on trigger media_items_list_file_removals_on_failure on app.media_items is
  E'Puts the files of a media item that failed on the list of files to remove.\n\n'
  'An upload that was refused or broke off leaves nothing behind.';
create trigger media_items_remove_content after update on app.media_items
  for each row
  when (old.deletion_id is distinct from new.deletion_id)
  execute function app.follow_deletion('app.content', 'media_item_id', 'user_id');
comment on trigger media_items_remove_content on app.media_items is
  E'Removes the content that stands on a removed media item, and brings back what went with it.\n\n'
  'Restoring brings back exactly what one removal took, and nothing that was removed before.';

create function app.limit_media_inspections() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.users u where u.id = new.user_id for no key update;
  if (
    select count(*) from app.media_items m
    where m.user_id = new.user_id
      and m.status in ('uploaded', 'processing')
      and m.deleted_at is null
      and m.updated_at > now() - interval '5 minutes'
  ) >= 32 then
    raise exception using
      errcode = 'RH001',
      message = 'rate_limited',
      detail = '32 of your files are being inspected: complete this one when they are ready',
      hint = to_char((now() + interval '5 seconds') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
  end if;
  return new;
end
$$;
comment on function app.limit_media_inspections() is
  'Refuses to begin with a file while 32 of its owner''s are being inspected.';
create trigger media_items_limit_inspections before update on app.media_items
  for each row when (old.status = 'uploading' and new.status = 'uploaded')
  execute function app.limit_media_inspections();
comment on trigger media_items_limit_inspections on app.media_items is
  E'Refuses to begin with a file while 32 of its owner''s are being inspected.\n\n'
  'One user''s uploads must not keep the others'' waiting, whichever processes inspect them.';

create function app.is_upload_open(p_user uuid, p_id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from app.media_items m
    where m.user_id = p_user and m.id = p_id and m.status = 'uploading' and m.deleted_at is null
      and not exists (select from auth.users u where u.id = m.user_id and u.removed_at is not null)
  );
end
$$;
comment on function app.is_upload_open(uuid, uuid) is
  'Whether a media item still waits for its file; asked for whoever presents an upload address that was '
  'given out.';

create function app.sweep_media() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  swept integer;
begin
  update app.media_items m
  set
    status = 'failed',
    error = case m.status
      when 'uploading' then 'the upload was not completed within a day'
      else 'whoever processed the file did not come to an end'
    end
  from (
    select stale.user_id, stale.id from app.media_items stale
    where stale.status in ('uploading', 'uploaded', 'processing')
      and stale.updated_at < now() - interval '1 hour'
      and (stale.status <> 'uploading' or stale.created_at < now() - interval '1 day')
    order by stale.updated_at
    limit 1000
    for update skip locked
  ) stale
  where m.user_id = stale.user_id and m.id = stale.id;
  get diagnostics swept = row_count;
  return swept;
end
$$;
comment on function app.sweep_media() is
  'Fails uploads that nobody completed and items that nobody processes any more, at most a thousand, and '
  'returns how many.';

create function app.claim_file_removals(p_limit integer, p_claim_seconds integer) returns table (storage_key text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with due as (
      select r.storage_key from app.file_removals r
      where r.due_at <= now()
      order by r.due_at
      limit p_limit
      for update skip locked
    )
    update app.file_removals r
    set due_at = now() + make_interval(secs => p_claim_seconds)
    from due
    where r.storage_key = due.storage_key
    returning r.storage_key;
end
$$;
comment on function app.claim_file_removals(integer, integer) is
  'Claims files whose removal is due; nobody else gets them meanwhile.';

create function app.finish_file_removals(p_storage_keys text[]) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from app.file_removals r where r.storage_key = any (p_storage_keys) and r.repeat_at is null;
  update app.file_removals r set due_at = r.repeat_at, repeat_at = null
  where r.storage_key = any (p_storage_keys) and r.repeat_at is not null;
end
$$;
comment on function app.finish_file_removals(text[]) is
  'Notes that files were removed: each is due once more, or off the list.';

grant execute on function
  app.is_upload_open, app.sweep_media, app.claim_file_removals, app.finish_file_removals
to rowhouse_system;

-- migrate:down

drop table app.media_items, app.file_removals;
drop function
  app.list_file_removals, app.limit_media_inspections, app.is_upload_open, app.sweep_media,
  app.claim_file_removals, app.finish_file_removals;
