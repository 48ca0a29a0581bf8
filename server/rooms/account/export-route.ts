import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { toAppError } from '#server/db/errors.ts'
import { AppError } from '#server/rpc/errors.ts'
import { type ExportServices, streamExport } from './export.ts'

export interface ExportLimits {
  /** Downloads at once, in this process: each holds a connection of the API's pool. */
  readonly maxAtOnce: number
  /** A reader that takes nothing for this long is cut off. */
  readonly stallMs: number
  readonly maxDurationMs: number
}

const LIMITS: ExportLimits = { maxAtOnce: 2, stallMs: 30_000, maxDurationMs: 15 * 60_000 }
const RETRY_MS = 10_000

/**
 * Serves the URLs that `account.export` gives out. The URL is all that a download needs, so it must not be logged. One that
 * is not ours, has expired or whose session has ended answers as a path that does not exist.
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
    // A wildcard: tokens are longer than what Fastify takes for a parameter.
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
