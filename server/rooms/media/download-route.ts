import type { FileHandle } from 'node:fs/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '#server/rpc/errors.ts'
import type { DownloadGrant } from './addresses.ts'
import { contentDisposition } from './content-disposition.ts'
import type { DiskStore } from './disk-store.ts'
import { readRange } from './ranges.ts'

export interface DownloadLimits {
  /** The maximum number of concurrent downloads in this process. */
  readonly maxAtOnce: number
  /** Disconnects a reader that reads nothing for this long. */
  readonly stallMs: number
}

const LIMITS: DownloadLimits = { maxAtOnce: 128, stallMs: 60_000 }
const RETRY_MS = 2_000

/**
 * Serves files at the signed URLs of `media.downloadUrl`, whole or one range. Users uploaded these files, so
 * browsers must save them, except images, audio and video, and must not run scripts in them.
 */
export function registerDownloadRoute(
  app: FastifyInstance,
  store: DiskStore,
  limits: Partial<DownloadLimits> = {},
): void {
  const { maxAtOnce, stallMs } = { ...LIMITS, ...limits }
  let running = 0
  app.route({
    method: ['GET', 'HEAD'],
    url: '/media/files/*',
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      const grant = store.addresses.readDownload((request.params as { '*': string })['*'])
      if (grant === null) {
        throw new AppError('unauthenticated', 'the signed URL is invalid or has expired: request a new one')
      }
      if (running >= maxAtOnce) {
        const retryAt = new Date(Date.now() + RETRY_MS)
        throw new AppError('overloaded', 'too many downloads are in progress: try again later', { retryAt })
      }
      // Increments before the first `await`, so that concurrent requests cannot pass the limit. The `close`
      // handlers decrement and close the file even if the reader leaves while the file is being opened.
      running++
      const response = reply.raw
      const closed = new Promise<void>(resolve => response.once('close', resolve))
      void closed.then(() => running--)
      const file = await store.open(grant.key)
      if (file === null) return reply.callNotFound()
      void closed.then(() => file.close().catch(() => {}))
      if (response.destroyed) return reply.hijack()
      response.setTimeout(stallMs, () => response.destroy())
      return sendFile(request, reply, { file, grant })
    },
  })
}

async function sendFile(
  { headers, method }: FastifyRequest,
  reply: FastifyReply,
  { file, grant }: { file: FileHandle; grant: DownloadGrant },
): Promise<FastifyReply> {
  const { size, mtimeMs } = await file.stat()
  const etag = `"${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"`
  reply.headers({
    etag,
    'accept-ranges': 'bytes',
    'content-disposition': contentDisposition(grant),
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
    'referrer-policy': 'no-referrer',
    'cache-control': 'private, no-store',
  })
  if (matches(headers['if-none-match'], etag)) return reply.code(304).send()
  // A range of a newer version would not fit the parts that the reader already has.
  const isSame = headers['if-range'] === undefined || headers['if-range'] === etag
  const range = isSame ? readRange(headers.range, size) : null
  if (range === 'unsatisfiable') {
    return reply.code(416).header('content-range', `bytes */${size}`).send()
  }
  const { start, end } = range ?? { start: 0, end: size - 1 }
  if (range) reply.code(206).header('content-range', `bytes ${start}-${end}/${size}`)
  reply.header('content-type', grant.mimeType).header('content-length', end - start + 1)
  if (method === 'HEAD') return reply.send()
  return reply.send(file.createReadStream({ start, end, autoClose: false }))
}

function matches(header: string | undefined, etag: string): boolean {
  return header?.split(',').some(one => ['*', etag, `W/${etag}`].includes(one.trim())) ?? false
}
