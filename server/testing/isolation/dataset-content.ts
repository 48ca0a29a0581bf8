import type { House } from '../actors.ts'
import { insertOne } from './dataset-rows.ts'

/** Content whose slug is the canary behind its state. */
export async function createContent(
  house: House,
  content: { userId: string; organizationId: string | null; mediaId: string | null; canary: string },
  state: 'draft' | 'published' | 'removed',
): Promise<string> {
  const { userId, organizationId, mediaId, canary } = content
  return insertOne(
    house,
    `insert into app.content
       (user_id, organization_id, media_item_id, title, slug, body, tags, content_type, status, published_at, deleted_at, deletion_id)
     values
       ($1, $2, $3, $4, $5 || '-' || $4, $4, array[$4], 'written', case $5 when 'published' then 'published' else 'draft' end,
        case $5 when 'published' then now() end, case $5 when 'removed' then now() end,
        case $5 when 'removed' then app.new_id() end)
     returning id`,
    [userId, organizationId, mediaId, canary, state],
  )
}

/** An item without a file in any store. */
export async function createMediaItem(
  house: House,
  { userId, canary }: { userId: string; canary: string },
  state: 'uploading' | 'ready' | 'removed',
): Promise<string> {
  const id = await insertOne(
    house,
    `insert into app.media_items (user_id, title, media_type, mime_type, file_name, file_size_bytes)
     values ($1, $2, 'image', 'image/png', $2 || '.png', 68) returning id`,
    [userId, canary],
  )
  if (state === 'uploading') return id
  await house.owner.query(
    `update app.media_items
     set
       status = 'ready', uploaded_at = now(), width = 1, height = 1,
       thumbnail_key = 'thumbnails/' || id::text || '/thumbnail.webp',
       deleted_at = case when $2 then now() end, deletion_id = case when $2 then app.new_id() end
     where id = $1`,
    [id, state === 'removed'],
  )
  return id
}
