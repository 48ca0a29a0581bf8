// Lists and searches of content, written by hand: one prepared statement each, with the session, the
// creator's own rows, their organizations' rows, and the joins. Policies play no part.

type Row = Record<string, unknown>
type Query = (name: string, text: string, values: unknown[]) => Promise<Row[]>

const SUMMARY = `c.id, c.title, c.slug, c.description, c.content_type as "contentType", c.status,
  c.published_at as "publishedAt", c.tags, c.deleted_at as "deletedAt", c.created_at as "createdAt", c.updated_at as "updatedAt"`

const JOINED = `
select ${SUMMARY},
  u.id as "creatorId", u.name as "creatorName", u.image as "creatorImage",
  o.id as "organizationId", o.name as "organizationName", o.slug as "organizationSlug", o.logo as "organizationLogo",
  m.id as "mediaId", m.title as "mediaTitle", m.media_type as "mediaType", m.mime_type as "mimeType", m.status as "mediaStatus",
  m.duration_seconds as "durationSeconds", m.width, m.height
from page c
join auth.users u on u.id = c.user_id
left join auth.organizations o on o.id = c.organization_id
left join app.media_items m on m.user_id = c.user_id and m.id = c.media_item_id`

/** The rows that the caller of a session may see. */
const VISIBLE = `
with caller as materialized (
  select
    s.user_id,
    array(
      select m.organization_id from auth.members m
      join auth.organizations o on o.id = m.organization_id and o.deleted_at is null
      where m.user_id = s.user_id
    ) as organization_ids
  from auth.sessions s
  where s.token = $1 and s.expires_at > now()
),
page as (
  select
    c.user_id, c.id, c.organization_id, c.media_item_id, c.title, c.slug, c.description, c.content_type, c.status,
    c.published_at, c.tags, c.deleted_at, c.created_at, c.updated_at, %rank% as rank
  from app.content c
  where (c.user_id = (select user_id from caller) or c.organization_id = any ((select organization_ids from caller)::uuid[]))
    and c.deleted_at is null %condition%
  order by %order% c.id desc
  limit $2
)`

const LIST = `${VISIBLE.replace('%rank%', 'null').replace('%condition%', '').replace('%order%', '')}
${JOINED}
order by c.id desc`

const SEARCH = `${VISIBLE.replace('%rank%', `ts_rank(c.search, (select app.search_query($3)))`)
  .replace('%condition%', `and c.search @@ (select app.search_query($3))`)
  .replace('%order%', 'rank desc,')}
${JOINED}
order by c.rank desc, c.id desc`

export async function listContentByHand(
  query: Query,
  token: string,
  input: { readonly limit?: unknown; readonly search?: unknown },
): Promise<unknown> {
  const limit = Number(input.limit)
  const rows = await (input.search === undefined
    ? query('content-list', LIST, [token, limit + 1])
    : query('content-search', SEARCH, [token, limit + 1, input.search]))
  const items = rows.slice(0, limit)
  return { items: items.map(toContent), nextCursor: rows.length > limit ? items.at(-1)?.id : null }
}

function toContent(row: Row): unknown {
  const {
    creatorId,
    creatorName,
    creatorImage,
    organizationId,
    organizationName,
    organizationSlug,
    organizationLogo,
    mediaId,
    mediaTitle,
    mediaType,
    mimeType,
    mediaStatus,
    durationSeconds,
    width,
    height,
    ...content
  } = row
  return {
    ...content,
    creator: { id: creatorId, name: creatorName, image: creatorImage },
    organization: organizationId && {
      id: organizationId,
      name: organizationName,
      slug: organizationSlug,
      logo: organizationLogo,
    },
    media: mediaId && {
      id: mediaId,
      title: mediaTitle,
      mediaType,
      mimeType,
      status: mediaStatus,
      durationSeconds,
      width,
      height,
    },
  }
}
