import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Services } from '#server/app/services.ts'
import { toAppError } from '#server/db/errors.ts'
import { discardRest, UPLOAD_PREFIX } from '#server/http/uploads.ts'
import { AppError } from '#server/rpc/errors.ts'
import type { UploadGrant } from './addresses.ts'
import { alreadyThere, type DiskStore } from './disk-store.ts'
import { findFileType, isNameOf } from './file-types.ts'

export interface UploadLimits {
  /** The maximum number of concurrent uploads in this process. */
  readonly maxAtOnce: number
  /** Disconnects a sender that sends nothing for this long. */
  readonly stallMs: number
  readonly maxDurationMs: number
}

const LIMITS: UploadLimits = { maxAtOnce: 64, stallMs: 30_000, maxDurationMs: 6 * 60 * 60_000 }
const RETRY_MS = 5_000

type UploadServices = Pick<Services, 'pools' | 'places'> & { readonly store: DiskStore }

/**
 * Receives files at the signed URLs of `media.createUpload`. A URL needs no session, and accepts one file of
 * the declared size and type. An interrupted upload leaves nothing behind.
 */
export function registerUploadRoute(
  app: FastifyInstance,
  services: UploadServices,
  limits: Partial<UploadLimits> = {},
): void {
  const { maxAtOnce, stallMs, maxDurationMs } = { ...LIMITS, ...limits }
  const { store } = services
  let running = 0

  app.register(async scope => {
    // Passes a body of any size and type on as a stream.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _body, done) => done(null))
    scope.route({
      method: 'PUT',
      url: `${UPLOAD_PREFIX}*`,
      handler: async (request: FastifyRequest, reply: FastifyReply) => {
        const { raw } = request
        reply.raw.once('finish', () => discardRest(raw))
        const grant = grantOf(store, request)
        checkHeaders(grant, raw.headers)
        if (running >= maxAtOnce) {
          const retryAt = new Date(Date.now() + RETRY_MS)
          throw new AppError('overloaded', 'too many uploads are in progress: try again later', { retryAt })
        }
        running++
        const timer = setTimeout(() => raw.destroy(), maxDurationMs)
        raw.setTimeout(stallMs, () => raw.destroy())
        // The sender has sent everything: writing the rest to disk must not count as a stall.
        raw.once('end', () => raw.setTimeout(0))
        let giveBack: (() => void) | undefined
        try {
          await assertOpen(services, grant)
          giveBack = await services.places.take('uploads', grant.userId)
          if (await store.has(grant.key)) throw alreadyThere()
          await store.receive(raw, grant)
        } catch (error) {
          // The sender has disconnected.
          if (raw.destroyed && !raw.complete) return reply.hijack()
          throw toAppError(error) ?? error
        } finally {
          running--
          giveBack?.()
          clearTimeout(timer)
        }
        return reply.code(204).header('cache-control', 'no-store').send()
      },
    })
  })
}

function grantOf(store: DiskStore, request: FastifyRequest): UploadGrant {
  const grant = store.addresses.readUpload((request.params as { '*': string })['*'])
  if (grant) return grant
  throw new AppError('unauthenticated', 'the signed URL is invalid or has expired: request a new one')
}

function checkHeaders(
  { sizeBytes, mimeType }: UploadGrant,
  headers: { 'content-length'?: string | undefined; 'content-type'?: string | undefined },
): void {
  const announced = headers['content-length']
  if (announced === undefined || Number(announced) < sizeBytes) {
    throw new AppError('invalid_input', `content-length must be ${sizeBytes}, as declared in createUpload`)
  }
  if (Number(announced) > sizeBytes)
    throw new AppError('too_large', `the file is larger than ${sizeBytes} bytes`)
  const given = headers['content-type']?.trim().toLowerCase() ?? ''
  const type = findFileType(mimeType)
  if (!type || !isNameOf(type, given)) {
    throw new AppError('invalid_input', `content-type must be ${mimeType}, as declared in createUpload`)
  }
}

async function assertOpen({ pools }: UploadServices, { userId, mediaId }: UploadGrant): Promise<void> {
  if (await pools.system.isUploadOpen(userId, mediaId)) return
  throw new AppError(
    'illegal_transition',
    'this media item no longer accepts a file: it is already uploaded, or was removed',
  )
}
