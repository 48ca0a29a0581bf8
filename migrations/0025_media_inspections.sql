-- How many of a user's files are looked into at a time, over all processes.
--
-- An item is looked into from the moment that its owner completes the upload until it is ready or has failed. The user's row is
-- locked while that is counted, so that many completions at once meet the count. An item that has not changed for five minutes
-- is not counted: whoever looked into it has ended, and the sweep fails it later.

-- An image of a type that can't be decoded here (HEIC, icons) is ready without its dimensions and thumbnail.

-- migrate:up

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
  'Limits how many files of one user are inspected at a time, over all processes.';

alter table app.media_items drop constraint media_items_ready_check;
alter table app.media_items add constraint media_items_ready_check check (
  status <> 'ready'
  or uploaded_at is not null
  and (
    media_type <> 'image'
    or mime_type in ('image/heic', 'image/heif', 'image/vnd.microsoft.icon')
    or width is not null and height is not null and thumbnail_key is not null
  )
);

-- migrate:down

alter table app.media_items drop constraint media_items_ready_check;
update app.media_items set status = 'failed', error = 'images of this type are not taken any more'
where status = 'ready' and media_type = 'image' and thumbnail_key is null;
alter table app.media_items add constraint media_items_ready_check check (
  status <> 'ready'
  or uploaded_at is not null
  and (media_type <> 'image' or width is not null and height is not null and thumbnail_key is not null)
);
drop trigger media_items_limit_inspections on app.media_items;
drop function app.limit_media_inspections();
