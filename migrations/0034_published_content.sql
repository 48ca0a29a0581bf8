-- How content is read: by everyone once it is published, and its media by the members of its organization.
--
-- Lists and searches go through a function: matching text is not leakproof, so its index would go unused
-- behind a policy.

-- migrate:up

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
      and not exists (select from auth.users u where u.id = m.user_id and u.removed_at is not null)
      and exists (
        select from app.content c
        where c.user_id = p_user_id and c.media_item_id = p_media_item_id and c.deleted_at is null
          and c.organization_id = any ((select app.member_organization_ids())::uuid[])
      )
  );
end
$$;
comment on function app.shared_media(uuid, uuid) is
  'What members of an organization may know of the media item that a fellow member''s content in it stands '
  'on.';

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
  -- Nearly always none.
  removed uuid[] := app.removed_user_ids();
  hidden_media uuid[] := app.pending_parent_ids('app.media_items');
  hidden_organizations uuid[] := app.pending_parent_ids('auth.organizations');
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
  if cardinality(removed) > 0 then
    conditions := conditions || ' and c.user_id <> all ($10)';
  end if;
  if cardinality(hidden_media) > 0 then
    conditions := conditions || ' and (c.media_item_id is null or c.media_item_id <> all ($11))';
  end if;
  if cardinality(hidden_organizations) > 0 then
    conditions := conditions || ' and (c.organization_id is null or c.organization_id <> all ($12))';
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
  using p_slug, p_search, p_type, p_tags, p_creator_id, p_organization_slug, p_after, p_after_id, least(p_limit, 101),
    removed, hidden_media, hidden_organizations;
end
$$;
comment on function app.published_content(text, text, text, text[], uuid, text, text, uuid, integer) is
  'Published content with its creator, organization and media item, newest or, in a search, best match '
  'first. Only what is asked for by slug comes with its body.';

grant execute on function app.shared_media to rowhouse_api;
grant execute on function app.published_content to rowhouse_public;

-- migrate:down

drop function app.shared_media, app.published_content;
