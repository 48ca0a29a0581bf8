import type { FastifyInstance } from 'fastify'
import type { Services } from '#server/app/services.ts'
import { type DownloadLimits, registerDownloadRoute } from './download-route.ts'
import { registerUploadRoute, type UploadLimits } from './upload-route.ts'

/** Serves the signed URLs of the disk store. A bucket serves its own. */
export function serveMedia(
  app: FastifyInstance,
  { media, pools, places }: Pick<Services, 'media' | 'pools' | 'places'>,
  limits: { upload?: Partial<UploadLimits>; download?: Partial<DownloadLimits> } = {},
): void {
  if (media.kind !== 'disk') return
  registerUploadRoute(app, { pools, places, store: media }, limits.upload)
  registerDownloadRoute(app, media, limits.download)
}
