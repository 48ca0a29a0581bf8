import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { contentRows, createMedia } from './fixture.ts'
import type { CreateContent } from './schema.ts'
import { CONTENT_STATUSES, CONTENT_TRANSITIONS, isContentActionAllowed } from './state.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

function write(actor: Actor, title: string, more: Partial<CreateContent> = {}) {
  return actor.caller().content.create({ title, contentType: 'written', ...more })
}

describe('a draft', () => {
  it('is created with a slug of its title, and joined with its creator', async () => {
    const content = await write(ada, 'Über die Brücke, at last!', { body: 'text', tags: ['bridges'] })
    expect(content).toMatchObject({
      slug: 'uber-die-brucke-at-last',
      status: 'draft',
      publishedAt: null,
      body: 'text',
      tags: ['bridges'],
      creator: { id: ada.userId, name: 'Ada', image: null },
      organization: null,
      media: null,
    })
    expect(await ada.caller().content.get({ id: content.id })).toEqual(content)
  })

  it('is updated in the given fields only', async () => {
    const { content } = ada.caller()
    const made = await write(ada, 'A first title', { description: 'a description', body: 'a body' })
    const changed = await content.update({ id: made.id, title: 'Another', description: null })
    expect(changed).toEqual({ ...made, title: 'Another', description: null, updatedAt: changed.updatedAt })
    expect(await content.update({ id: made.id })).toEqual(changed)
  })

  it('uses a media item of its creator and of its kind', async () => {
    const mediaItemId = await createMedia(ada)
    const film = await write(ada, 'A film', { contentType: 'video', mediaItemId })
    expect(film.media).toMatchObject({
      id: mediaItemId,
      mediaType: 'video',
      durationSeconds: 12.5,
      width: 1920,
    })
    const image = await createMedia(ada, { mediaType: 'image' })
    for (const [more, reason] of [
      [{ contentType: 'video' }, 'invalid_input'],
      [{ contentType: 'audio', mediaItemId }, 'invalid_input'],
      [{ contentType: 'video', mediaItemId: image }, 'invalid_input'],
      [{ contentType: 'video', mediaItemId: await createMedia(bob) }, 'not_found'],
      [{ mediaItemId: crypto.randomUUID() }, 'not_found'],
    ] as const) {
      expect(await refusalOf(write(ada, `Refused ${reason}`, more))).toMatchObject({ reason })
    }
    expect(await refusalOf(ada.caller().content.update({ id: film.id, mediaItemId: null }))).toMatchObject({
      reason: 'invalid_input',
    })
  })

  it.each<[string, Partial<CreateContent> & Record<string, unknown>]>([
    ['an empty title', { title: ' ' }],
    ['a slug with a slash', { slug: 'a/b' }],
    ['a slug in capitals', { slug: 'Slug' }],
    ['a tag twice', { tags: ['a', 'a'] }],
    ['NUL', { body: 'a\0b' }],
    ['a lone surrogate', { description: '\ud800' }],
    ['another owner', { userId: crypto.randomUUID() }],
    ['a status', { status: 'published' }],
  ])('cannot have %s', async (_, more) => {
    expect(await refusalOf(write(ada, 'A title', more))).toMatchObject({ code: 'BAD_REQUEST' })
  })
})

describe('a slug', () => {
  it('that is taken causes a conflict with the slug and a free suggestion', async () => {
    const name = await write(ada, 'Name')
    await write(ada, 'Name', { slug: 'name-2' })
    const error = await write(ada, 'Name').catch(thrown => thrown)
    expect(error).toMatchObject({
      code: 'CONFLICT',
      cause: {
        reason: 'unique_violation',
        details: { constraint: 'content_user_id_slug_key', suggestion: 'name-3' },
        message: 'the slug "name" is already used by other content of yours: "name-3" is free',
      },
    })
    const other = await write(ada, 'Other name')
    const update = await ada
      .caller()
      .content.update({ id: other.id, slug: 'name-2' })
      .catch(thrown => thrown)
    expect(update.cause).toMatchObject({ reason: 'unique_violation', details: { suggestion: 'name-3' } })
    expect((await write(bob, 'Name')).slug).toBe(name.slug)
  })

  it('is unique in its organization, but free in another and on the creator’s page', async () => {
    const one = await createOrganization(ada, [bob])
    const two = await createOrganization(ada)
    await write(ada, 'Shared name', { organizationId: one.id })
    await write(ada, 'Shared name', { organizationId: two.id })
    await write(ada, 'Shared name')
    const error = await write(bob, 'Shared name', { organizationId: one.id }).catch(thrown => thrown)
    expect(error.cause).toMatchObject({
      details: { constraint: 'content_organization_id_slug_key', suggestion: 'shared-name-2' },
      message:
        'the slug "shared-name" is already used by other content of the organization: "shared-name-2" is free',
    })
  })

  it('is used once, even if many callers want it at the same time', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => write(ada, 'Wanted by many')))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason.cause.reason).toBe('unique_violation')
    }
  })
})

describe('the lifecycle of content', () => {
  it('allows draft, published, archived and back, and nothing else', async () => {
    const { content } = ada.caller()
    const { id } = await write(ada, 'A life')
    const published = await content.publish({ id })
    expect(published).toMatchObject({ status: 'published', publishedAt: expect.any(Date) })
    expect(await refusalOf(content.publish({ id }))).toMatchObject({
      reason: 'illegal_transition',
      message: `cannot publish content "${id}": it is published`,
    })
    expect(await content.archive({ id })).toMatchObject({
      status: 'archived',
      publishedAt: published.publishedAt,
    })
    expect(await content.unpublish({ id })).toMatchObject({ status: 'draft', publishedAt: null })
    expect(await refusalOf(content.unpublish({ id }))).toMatchObject({ reason: 'illegal_transition' })
  })

  it('has one table for guards and buttons', () => {
    for (const status of CONTENT_STATUSES) {
      for (const [action, { from }] of Object.entries(CONTENT_TRANSITIONS)) {
        const statuses: readonly string[] = from
        expect(isContentActionAllowed(action as keyof typeof CONTENT_TRANSITIONS, status)).toBe(
          statuses.includes(status),
        )
      }
    }
  })

  it('allows publishing only with a ready media item', async () => {
    const mediaItemId = await createMedia(ada, { status: 'uploading' })
    const { id } = await write(ada, 'Not ready', { contentType: 'video', mediaItemId })
    expect(await refusalOf(ada.caller().content.publish({ id }))).toMatchObject({
      reason: 'illegal_transition',
      message: `cannot publish content "${id}": its media item is not ready`,
    })
  })

  it('publishes once, even if many callers ask at the same time', async () => {
    const { id } = await write(ada, 'Asked often')
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => ada.caller().content.publish({ id })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('hides removed content and frees its slug, until it is restored', async () => {
    const { content } = ada.caller()
    const made = await write(ada, 'Removed and restored')
    const removed = await content.remove({ id: made.id })
    expect(removed.deletedAt).toBeInstanceOf(Date)
    for (const call of [content.get, content.publish, content.remove]) {
      expect(await refusalOf(call({ id: made.id }))).toMatchObject({ reason: 'not_found' })
    }
    const { items } = await content.list({ deleted: 'only' })
    expect(items.map(item => item.id)).toEqual([made.id])

    const successor = await write(ada, 'Removed and restored')
    const error = await content.restore({ id: made.id }).catch(thrown => thrown)
    expect(error.cause).toMatchObject({
      reason: 'unique_violation',
      details: { suggestion: 'removed-and-restored-2' },
      message: expect.stringContaining('"removed-and-restored"'),
    })
    await content.update({ id: successor.id, slug: 'removed-and-restored-2' })
    const restored = await content.restore({ id: made.id })
    expect(restored).toEqual({ ...made, updatedAt: restored.updatedAt })
    expect(await refusalOf(content.restore({ id: made.id }))).toMatchObject({ reason: 'illegal_transition' })
  })
})

describe('access:', () => {
  it('an organization’s content is written by its creator, read by members, hidden from others', async () => {
    const admin = await createActor(house, { name: 'Admin' })
    const organization = await createOrganization(ada, [bob, { actor: admin, role: 'admin' }])
    const organizationId = organization.id
    const mediaItemId = await createMedia(ada)
    const made = await write(ada, 'For all of us', { organizationId, contentType: 'video', mediaItemId })
    const { id } = made
    expect(made.organization).toEqual({
      id: organizationId,
      name: organization.slug,
      slug: organization.slug,
      logo: null,
    })

    for (const member of [bob, admin]) {
      const { content } = member.caller()
      expect(await content.get({ id })).toEqual(made)
      expect((await content.list({ organizationId })).items).toMatchObject([{ id, creator: { name: 'Ada' } }])
      for (const call of [content.publish, content.remove, content.restore, content.update]) {
        expect(await refusalOf(call({ id }))).toMatchObject({ reason: 'not_found' })
      }
    }
    const stranger = (await createActor(house)).caller().content
    expect(await refusalOf(stranger.get({ id }))).toMatchObject({ reason: 'not_found' })
    expect((await stranger.list({ organizationId })).items).toEqual([])
    expect(
      await refusalOf(stranger.create({ title: 'x', contentType: 'written', organizationId })),
    ).toMatchObject({
      reason: 'not_a_member',
    })

    await house.owner.query('delete from auth.members where organization_id = $1 and user_id = $2', [
      organizationId,
      bob.userId,
    ])
    expect(await refusalOf(bob.caller().content.get({ id }))).toMatchObject({ reason: 'not_found' })
    expect((await bob.caller().content.list({ organizationId })).items).toEqual([])
    await ada.caller().content.remove({ id })
    expect(await refusalOf(admin.caller().content.get({ id }))).toMatchObject({ reason: 'not_found' })
    expect((await admin.caller().content.list({ organizationId, deleted: 'include' })).items).toEqual([])
  })

  it('tokens read and write by their scopes', async () => {
    const { id } = await write(ada, 'By scopes')
    const reader = (await createApiToken(ada, { scopes: ['content:read'] })).caller().content
    const writer = (await createApiToken(ada, { scopes: ['content:write'] })).caller().content
    expect((await reader.get({ id })).id).toBe(id)
    expect(await refusalOf(reader.publish({ id }))).toMatchObject({ reason: 'missing_scope' })
    expect((await writer.publish({ id })).status).toBe('published')
    expect(await refusalOf(anonymous(house).content.get({ id }))).toMatchObject({ reason: 'unauthenticated' })
  })

  it('members see a fellow member’s media item while its content is shared', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const mediaItemId = await createMedia(ada)
    await write(ada, 'Mine alone', { contentType: 'video', mediaItemId })
    const { rows } = await house.owner.query('select title from app.media_items where id = $1', [mediaItemId])
    expect(rows).toHaveLength(1)
    const shared = await write(ada, 'Ours', { contentType: 'video', mediaItemId, organizationId })
    expect((await bob.caller().content.get({ id: shared.id })).media).toEqual(shared.media)
    expect((await contentRows(house, shared.id))[0]?.organization_id).toBe(organizationId)
    expect((await bob.caller().media.list()).items.map(item => item.id)).not.toContain(mediaItemId)
  })
})
