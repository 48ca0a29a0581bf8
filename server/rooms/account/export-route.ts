import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { toAppError } from '#server/db/errors.ts'
import { AppError } from '#server/rpc/errors.ts'
import { type ExportServices, streamExport } from './export.ts'

export interface ExportLimits {
  /**
   * The maximum number of concurrent downloads in this process. Each holds a connection of the API's pool.
   */
  readonly maxAtOnce: number
  /** Disconnects a reader that reads nothing for this long. */
  readonly stallMs: number
  readonly maxDurationMs: number
}

const LIMITS: ExportLimits = { maxAtOnce: 2, stallMs: 30_000, maxDurationMs: 15 * 60_000 }
const RETRY_MS = 10_000

/**
 * Serves the signed URLs of `account.export`. The URL is the only credential, so it must not be logged. An
 * invalid or expired URL, or one whose session has ended, is answered like an unknown path.
 */
export function registerExportRoute(
  app: FastifyInstance,
  services: ExportServices,
  limits: Partial<ExportLimits> = {},
): void {
  const { maxAtOnce, stallMs, maxDurationMs } = { ...LIMITS, ...limits }
  let running = 0

  app.route({
    method: 'GET',
    // A wildcard, because tokens exceed Fastify's maximum length of a parameter.
    url: '/media/exports/*',
    exposeHeadRoute: false,
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      if (running >= maxAtOnce) {
        const retryAt = new Date(Date.now() + RETRY_MS)
        throw new AppError('overloaded', 'too many exports are in progress: try again later', { retryAt })
      }
      running++
      const end = new AbortController()
      const timer = setTimeout(() => end.abort(), maxDurationMs)
      const response = reply.raw
      response.once('close', () => {
        clearTimeout(timer)
        running--
        end.abort()
      })

      const token = (request.params as { '*': string })['*']
      const lines = await streamExport(services, token, end.signal).catch((error: unknown) => {
        throw toAppError(error) ?? error
      })
      if (lines === null) return reply.callNotFound()

      const body = Readable.from(lines)
      end.signal.addEventListener('abort', () => body.destroy(), { once: true })
      response.setTimeout(stallMs, () => response.destroy())
      return reply
        .header('content-type', 'application/x-ndjson; charset=utf-8')
        .header('content-disposition', 'attachment; filename="rowhouse-export.jsonl"')
        .header('x-content-type-options', 'nosniff')
        .header('content-security-policy', "default-src 'none'; sandbox")
        .header('referrer-policy', 'no-referrer')
        .header('cache-control', 'no-store')
        .send(body)
    },
  })
}
