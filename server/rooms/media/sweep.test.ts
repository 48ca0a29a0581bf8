import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createActor, PASSWORD } from '#server/testing/actors.ts'
import {
  ask,
  beginUpload,
  type MediaHouse,
  openMediaHouse,
  pngFile,
  textFile,
  upload,
} from '#server/testing/media.ts'
import { sweepMedia } from './sweep.ts'

let house: MediaHouse
beforeAll(async () => {
  house = await openMediaHouse()
})
afterAll(() => house.close())

const sweep = () => sweepMedia(house.services)
const filesOf = async (id: string) => (await house.files()).filter(file => file.includes(id))

/** Backdates an item's creation and last change. */
async function age(id: string, hours: number): Promise<void> {
  await house.owner.query('alter table app.media_items disable trigger media_items_touch_updated_at')
  await house.owner.query(
    `update app.media_items
     set created_at = now() - make_interval(hours => $2), updated_at = now() - make_interval(hours => $2) where id = $1`,
    [id, hours],
  )
  await house.owner.query('alter table app.media_items enable trigger media_items_touch_updated_at')
}

const due = () => house.owner.query(`update app.file_removals set due_at = now() - interval '1 second'`)
const listed = async (id: string) =>
  (
    await house.owner.query<{ storage_key: string }>(
      'select storage_key from app.file_removals where strpos(storage_key, $1) > 0 order by 1',
      [id],
    )
  ).rows.map(row => row.storage_key)

describe('a sweep', () => {
  it('fails an upload that nobody completed for a day, and deletes its file', async () => {
    const ada = await createActor(house)
    const file = textFile()
    const late = await beginUpload(ada, file)
    const recent = await beginUpload(ada, file)
    for (const { uploadUrl, headers } of [late, recent])
      await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
    await age(late.media.id, 25)
    await age(recent.media.id, 23)
    await sweep()
    expect(await ada.caller().media.get({ id: late.media.id })).toMatchObject({
      status: 'failed',
      error: 'the upload was not completed within a day',
    })
    expect(await filesOf(late.media.id)).toEqual([])
    expect((await ada.caller().media.completeUpload({ id: recent.media.id })).status).toBe('ready')
  })

  it('fails an item whose processing never finished', async () => {
    const ada = await createActor(house)
    const { id } = await upload(ada, house, textFile())
    await house.owner.query(`update app.media_items set status = 'processing' where id = $1`, [id])
    await sweep()
    expect((await ada.caller().media.get({ id })).status).toBe('processing')
    await age(id, 2)
    await sweep()
    expect((await ada.caller().media.get({ id })).status).toBe('failed')
    expect(await filesOf(id)).toEqual([])
  })

  it('keeps items that are ready, and items that their owner removed', async () => {
    const ada = await createActor(house)
    const ready = await upload(ada, house, await pngFile(10, 10))
    const removed = await upload(ada, house, textFile())
    await ada.caller().media.remove({ id: removed.id })
    for (const { id } of [ready, removed]) await age(id, 1_000)
    await sweep()
    expect(await filesOf(ready.id)).toHaveLength(2)
    expect(await filesOf(removed.id)).toHaveLength(1)
    expect((await ada.caller().media.restore({ id: removed.id })).status).toBe('ready')
  })

  it('deletes the drafts of interrupted uploads once they are idle', async () => {
    const drafts = join(house.directory, 'incoming')
    await mkdir(drafts, { recursive: true })
    await writeFile(join(drafts, 'old'), 'x')
    await writeFile(join(drafts, 'new'), 'x')
    const longAgo = new Date(Date.now() - 2 * 60 * 60_000)
    await utimes(join(drafts, 'old'), longAgo, longAgo)
    await sweep()
    expect(await filesOf('incoming')).toEqual(['incoming/new'])
  })
})

describe('the files of a removed user', () => {
  it('are deleted, including those of removed items', async () => {
    const ada = await createActor(house, { name: 'Ada' })
    const bob = await createActor(house, { name: 'Bob' })
    const picture = await upload(ada, house, await pngFile(10, 10))
    const removed = await upload(ada, house, textFile())
    await ada.caller().media.remove({ id: removed.id })
    const others = await upload(bob, house, await pngFile(10, 10))
    await ada.caller().account.remove({ password: PASSWORD })
    expect(await filesOf(picture.id)).toHaveLength(2)
    await sweep()
    expect([...(await filesOf(picture.id)), ...(await filesOf(removed.id))]).toEqual([])
    expect(await filesOf(others.id)).toHaveLength(2)
  })

  it('are deleted again after an upload that was still running', async () => {
    const ada = await createActor(house)
    const { media } = await beginUpload(ada, textFile())
    await ada.caller().account.remove({ password: PASSWORD })
    await sweep()
    const key = `originals/${media.id}/note.txt`
    await mkdir(join(house.directory, 'originals', media.id), { recursive: true })
    await writeFile(join(house.directory, key), 'x')
    await sweep()
    expect(await filesOf(media.id)).toEqual([key])
    await due()
    await sweep()
    expect(await filesOf(media.id)).toEqual([])
    expect(await listed(media.id)).toEqual([])
  })

  it('are retried if the store fails to delete them', async () => {
    const ada = await createActor(house)
    const { id } = await upload(ada, house, textFile())
    await ada.caller().account.remove({ password: PASSWORD })
    const { services } = house
    const media = { ...services.media, remove: () => Promise.reject(new Error('the disk is gone')) }
    await sweepMedia({ ...services, media })
    expect(await listed(id)).toHaveLength(2)
    await sweep()
    // Claimed by the sweep that failed.
    expect(await filesOf(id)).toHaveLength(1)
    await due()
    await sweep()
    expect(await filesOf(id)).toEqual([])
  })

  it('can be deleted by many processes at once', async () => {
    const ada = await createActor(house)
    const ids = []
    for (let i = 0; i < 5; i++) ids.push((await upload(ada, house, textFile())).id)
    await ada.caller().account.remove({ password: PASSWORD })
    await Promise.all([sweep(), sweep(), sweep()])
    for (const id of ids) expect(await filesOf(id)).toEqual([])
  })
})
