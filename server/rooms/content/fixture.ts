import type { Actor, House } from '#server/testing/actors.ts'

/** Creates a media item without a file. */
export async function createMedia(
  actor: Actor,
  {
    mediaType = 'video',
    status = 'ready',
  }: { mediaType?: 'video' | 'audio' | 'image'; status?: 'ready' | 'uploading' } = {},
): Promise<string> {
  const { rows } = await actor.house.owner.query<{ id: string }>(
    `insert into app.media_items (user_id, title, media_type, mime_type, file_name, file_size_bytes)
     values ($1, 'A film', $2, $2 || '/mp4', 'film.mp4', 1000) returning id`,
    [actor.userId, mediaType],
  )
  const id = rows[0]?.id ?? ''
  if (status === 'ready') {
    await actor.house.owner.query(
      `update app.media_items
       set status = 'ready', uploaded_at = now(), width = 1920, height = 1080, duration_seconds = 12.5,
         thumbnail_key = case media_type when 'image' then 'thumbnails/' || id || '/thumbnail.webp' end
       where id = $1`,
      [id],
    )
  }
  return id
}

export interface ContentRow {
  id: string
  slug: string
  status: string
  organization_id: string | null
  published_at: Date | null
  deletion_id: string | null
}

/** The stored rows of these ids, in their order. */
export async function contentRows(house: House, ...ids: string[]): Promise<ContentRow[]> {
  const { rows } = await house.owner.query<ContentRow>(
    `select id, slug, status, organization_id, published_at, deletion_id from app.content
     where id = any ($1) order by array_position($1, id)`,
    [ids],
  )
  return rows
}
