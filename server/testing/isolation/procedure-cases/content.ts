import { type CasesOf, MEMBERS, NO_FILE, NOT_FOUND, nothing } from './case.ts'

export const CONTENT_CASES: CasesOf<'content' | 'media'> = {
  'content.create': [
    { input: () => ({ title: 'a title', contentType: 'written' }), stranger: 'own' },
    {
      input: owner => ({ title: 'with a file', contentType: 'written', mediaItemId: owner.mediaId }),
      stranger: NOT_FOUND,
    },
    {
      input: owner => ({
        title: 'a title',
        contentType: 'written',
        organizationId: owner.organizationId,
        slug: 'a-slug',
      }),
      stranger: 'FORBIDDEN not_a_member',
      colleague: MEMBERS,
    },
  ],
  'content.get': [{ input: owner => ({ id: owner.contentId }), stranger: NOT_FOUND }],
  'content.list': [
    { input: nothing, stranger: 'own', colleague: MEMBERS },
    { input: owner => ({ search: owner.canary, deleted: 'include' }), stranger: 'own', colleague: MEMBERS },
    {
      input: owner => ({ cursor: owner.removedContentId, tags: [owner.canary] }),
      stranger: 'own',
      colleague: MEMBERS,
    },
    {
      input: owner => ({ organizationId: owner.organizationId, page: 1 }),
      stranger: 'own',
      colleague: MEMBERS,
    },
  ],
  'content.update': [
    { input: owner => ({ id: owner.contentId, title: 'a title', body: null }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.contentId }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.contentId, mediaItemId: owner.mediaId }), stranger: NOT_FOUND },
  ],
  'content.publish': [{ input: owner => ({ id: owner.contentId }), stranger: NOT_FOUND }],
  'content.unpublish': [{ input: owner => ({ id: owner.publishedContentId }), stranger: NOT_FOUND }],
  'content.archive': [{ input: owner => ({ id: owner.publishedContentId }), stranger: NOT_FOUND }],
  'content.remove': [{ input: owner => ({ id: owner.publishedContentId }), stranger: NOT_FOUND }],
  'content.restore': [{ input: owner => ({ id: owner.removedContentId }), stranger: NOT_FOUND }],
  'content.published': [
    { input: nothing, stranger: 'public' },
    { input: owner => ({ creatorId: owner.userId, search: owner.canary }), stranger: 'public' },
  ],
  'content.bySlug': [
    {
      input: owner => ({ slug: `published-${owner.canary}`, creatorId: owner.userId }),
      stranger: 'public',
    },
  ],

  'media.createUpload': [
    {
      input: () => ({
        title: 'a picture',
        mediaType: 'image',
        mimeType: 'image/png',
        fileSizeBytes: 68,
        fileName: 'a picture.png',
      }),
      stranger: 'own',
    },
  ],
  'media.completeUpload': [{ input: owner => ({ id: owner.uploadId }), stranger: NOT_FOUND, owner: NO_FILE }],
  'media.list': [
    { input: nothing, stranger: 'own' },
    { input: () => ({ mediaType: 'image', deleted: 'only' }), stranger: 'own' },
  ],
  'media.get': [{ input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND }],
  'media.update': [
    { input: owner => ({ id: owner.mediaId, title: 'a title' }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND },
  ],
  'media.remove': [{ input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND }],
  'media.restore': [{ input: owner => ({ id: owner.removedMediaId }), stranger: NOT_FOUND }],
  'media.downloadUrl': [{ input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND }],
}
