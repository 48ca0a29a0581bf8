import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { contentRows, createMedia } from './fixture.ts'

// Removing a media item removes its content, and restoring it restores that content.

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

async function film(title: string, mediaItemId: string): Promise<string> {
  return (await ada.caller().content.create({ title, contentType: 'video', mediaItemId })).id
}

async function deletionOf(mediaId: string): Promise<string | null> {
  const { rows } = await house.owner.query('select deletion_id from app.media_items where id = $1', [mediaId])
  return rows[0].deletion_id
}

const deletionIds = (rows: { deletion_id: string | null }[]) => rows.map(row => row.deletion_id)

describe('removing a media item', () => {
  it('removes the content that uses it, and restoring restores exactly that content', async () => {
    const { media, content } = ada.caller()
    const mediaId = await createMedia(ada)
    const otherMediaId = await createMedia(ada)
    const goesAlong = await film('Goes along', mediaId)
    const published = await film('Published', mediaId)
    await content.publish({ id: published })
    const removedBefore = await film('Removed before', mediaId)
    const { deletedAt } = await content.remove({ id: removedBefore })
    const [before] = await contentRows(house, removedBefore)
    const unrelated = await film('Unrelated', otherMediaId)
    const all = [goesAlong, published, removedBefore, unrelated]

    await media.remove({ id: mediaId })
    const deletion = await deletionOf(mediaId)
    expect(deletion).not.toBeNull()
    expect(deletionIds(await contentRows(house, ...all))).toEqual([
      deletion,
      deletion,
      before?.deletion_id,
      null,
    ])
    expect(await refusalOf(content.get({ id: goesAlong }))).toMatchObject({ reason: 'not_found' })
    expect((await content.list({ deleted: 'only' })).items).toHaveLength(3)

    await media.restore({ id: mediaId })
    expect(deletionIds(await contentRows(house, ...all))).toEqual([null, null, before?.deletion_id, null])
    expect(await content.get({ id: published })).toMatchObject({ status: 'published' })
    expect((await content.restore({ id: removedBefore })).deletedAt).toBeNull()
    expect(deletedAt).not.toBeNull()
  })

  it('a second time restores only the content of the second removal', async () => {
    const { media, content } = ada.caller()
    const mediaId = await createMedia(ada)
    const first = await film('First to go', mediaId)
    await media.remove({ id: mediaId })
    await media.restore({ id: mediaId })
    await content.remove({ id: first })
    const second = await film('Second to go', mediaId)
    await media.remove({ id: mediaId })
    await media.restore({ id: mediaId })
    const [one, two] = await contentRows(house, first, second)
    expect(one?.deletion_id).not.toBeNull()
    expect(two?.deletion_id).toBeNull()
  })

  it('removes its content for any statement', async () => {
    const mediaIds = [await createMedia(ada), await createMedia(ada)]
    const ids = [await film('By hand 1', mediaIds[0] ?? ''), await film('By hand 2', mediaIds[1] ?? '')]
    await house.owner.query(
      'update app.media_items set deleted_at = now(), deletion_id = app.new_id() where id = any ($1)',
      [mediaIds],
    )
    expect(deletionIds(await contentRows(house, ...ids))).toEqual([
      await deletionOf(mediaIds[0] ?? ''),
      await deletionOf(mediaIds[1] ?? ''),
    ])
  })

  it('blocks restoring its content alone, and creating content that uses it', async () => {
    const { media, content } = ada.caller()
    const mediaId = await createMedia(ada)
    const id = await film('Not alone', mediaId)
    await media.remove({ id: mediaId })
    expect(await refusalOf(content.restore({ id }))).toMatchObject({
      reason: 'illegal_transition',
      message: `content "${id}" uses a removed media item: restore the media item first`,
    })
    expect(await refusalOf(film('Too late', mediaId))).toMatchObject({ reason: 'not_found' })
  })

  it('is restored whole or not at all: a taken slug causes a conflict with that slug', async () => {
    const { media, content } = ada.caller()
    const mediaId = await createMedia(ada)
    const ids = [await film('Free name', mediaId), await film('Taken name', mediaId)]
    await media.remove({ id: mediaId })
    const successor = await content.create({ title: 'Taken name', contentType: 'written' })
    const error = await media.restore({ id: mediaId }).catch(thrown => thrown)
    expect(error.cause).toMatchObject({
      reason: 'unique_violation',
      details: { constraint: 'content_user_id_slug_key', suggestion: 'taken-name-2' },
      message: 'the slug "taken-name" is already used by other content of yours: "taken-name-2" is free',
    })
    const deletion = await deletionOf(mediaId)
    expect(deletionIds(await contentRows(house, ...ids))).toEqual([deletion, deletion])
    await content.update({ id: successor.id, slug: 'taken-name-2' })
    await media.restore({ id: mediaId })
    expect(deletionIds(await contentRows(house, ...ids))).toEqual([null, null])
  })

  it('leaves no visible content that is created concurrently', async () => {
    for (let round = 0; round < 8; round++) {
      const mediaId = await createMedia(ada)
      const [made] = await Promise.allSettled([
        film(`At once ${round}`, mediaId),
        ada.caller().media.remove({ id: mediaId }),
      ])
      const { rows } = await house.owner.query(
        'select deletion_id from app.content where media_item_id = $1',
        [mediaId],
      )
      if (made.status === 'rejected') expect(rows).toEqual([])
      else expect(rows).toEqual([{ deletion_id: await deletionOf(mediaId) }])
    }
  })
})
