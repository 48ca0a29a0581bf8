import type pg from 'pg'

// Content of many creators: articles and, as every fifth, a film. The one after each film is written for the
// creator's organization, which has nine other creators.

const MEMBERS = 10
const MEDIA_EVERY = 5
/**
 * The number of different words. Hashing chooses the words of a text, so that a search finds a few texts of
 * each creator.
 */
export const WORDS = 500
const WORDS_A_TEXT = 40
const CHUNK = 20_000

/** Numbers content across all creators in turn, as tasks are. */
const CONTENT_ID = (n: string) =>
  `(lpad(to_hex(1700000000000 + ${n}), 12, '0') || '70008000000000000001')::uuid`
const MEDIA_ID = (n: string) =>
  `(lpad(to_hex(1700000000000 + ${n}), 12, '0') || '70008000000000000002')::uuid`
const USER_ID = (n: string) => `('01800000-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`
const ORGANIZATION_ID = (n: string) => `('01800000-0000-7000-9000-' || lpad(to_hex(${n}), 12, '0'))::uuid`

export function word(n: number): string {
  return `word${n}`
}

export async function loadContent(
  clients: readonly pg.Client[],
  { users, contentPerUser }: { users: number; contentPerUser: number },
): Promise<void> {
  const [first] = clients
  if (!first) return
  await first.query(
    `insert into auth.organizations (id, name, slug)
     select ${ORGANIZATION_ID('n')}, 'Organization ' || n, 'organization-' || n
     from generate_series(0, ($1::bigint - 1) / ${MEMBERS}) n`,
    [users],
  )
  await first.query(
    `insert into auth.members (organization_id, user_id, role)
     select ${ORGANIZATION_ID(`n / ${MEMBERS}`)}, ${USER_ID('n')}, case n % ${MEMBERS} when 0 then 'owner' else 'member' end
     from generate_series(0, $1::bigint - 1) n`,
    [users],
  )
  const total = users * contentPerUser
  let next = 0
  const load = async (client: pg.Client) => {
    while (next < total) {
      const from = next
      next += CHUNK
      const to = Math.min(next, total) - 1
      await client.query(INSERT_MEDIA, [from, to, users])
      await client.query(INSERT_CONTENT, [from, to, users])
    }
  }
  await Promise.all(clients.map(load))
  await first.query('vacuum (analyze) app.content, app.media_items, auth.organizations, auth.members')
}

/** The number of a creator's row: one per round through all creators. */
const ROUND = 'n / $3::bigint'
const HAS_MEDIA = `${ROUND} % ${MEDIA_EVERY} = 0`

const INSERT_MEDIA = `
insert into app.media_items (
  user_id, id, title, media_type, mime_type, file_name, file_size_bytes, status, uploaded_at, duration_seconds, width, height
)
select
  ${USER_ID('n % $3::bigint')}, ${MEDIA_ID('n')}, 'A film ' || n, 'video', 'video/mp4', 'film.mp4', 1000, 'ready', now(), 60,
  1920, 1080
from generate_series($1::bigint, $2::bigint) n
where ${HAS_MEDIA}`

const INSERT_CONTENT = `
insert into app.content (
  user_id, id, organization_id, media_item_id, title, slug, description, body, content_type, status, published_at, tags
)
select
  ${USER_ID('n % $3::bigint')},
  ${CONTENT_ID('n')},
  case when ${ROUND} % ${MEDIA_EVERY} = 1 then ${ORGANIZATION_ID(`n % $3::bigint / ${MEMBERS}`)} end,
  case when ${HAS_MEDIA} then ${MEDIA_ID('n')} end,
  'How we built part ' || n,
  'how-we-built-part-' || n,
  'What came of the work on part ' || n || ', and what we would do otherwise.',
  (
    select string_agg('word' || abs(hashint8(n * ${WORDS_A_TEXT} + w)) % ${WORDS}, ' ')
    from generate_series(1, ${WORDS_A_TEXT}) w
  ),
  case when ${HAS_MEDIA} then 'video' else 'written' end,
  case ${ROUND} % 3 when 0 then 'draft' else 'published' end,
  case ${ROUND} % 3 when 0 then null else to_timestamp((1700000000000 + n) / 1000.0) end,
  array['part', 'team-' || n % 7]
from generate_series($1::bigint, $2::bigint) n`
