-- Slugs of content: whether one is in use.

-- migrate:up

create function app.is_slug_taken(p_user_id uuid, p_organization_id uuid, p_slug text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_organization_id is null then
    return exists (
      select from app.content c
      where c.user_id = p_user_id and c.slug = p_slug and c.organization_id is null and c.deleted_at is null
    );
  end if;
  return exists (
    select from app.content c
    where c.organization_id = p_organization_id and c.slug = p_slug
      and c.organization_id is not null and c.deleted_at is null
  );
end
$$;
comment on function app.is_slug_taken(uuid, uuid, text) is
  'Whether a slug is in use on a creator''s own page, or in an organization. A function, so that it is '
  'looked up row by row.';


-- migrate:down

drop function app.is_slug_taken;
