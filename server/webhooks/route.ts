import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { toAppError } from '#server/db/errors.ts'
import { findProvider } from '#server/rooms/connections/registry.ts'
import { readWebhookBody } from './read-body.ts'
import { receiveWebhook, type WebhookServices } from './receive.ts'

interface Received {
  Params: { provider: string }
  Body: Buffer | undefined
}

/**
 * Serves `/webhooks/:provider`. A 2xx means that the delivery is stored; after any other answer the provider
 * sends it again.
 */
export function registerWebhookRoute(app: FastifyInstance, services: WebhookServices): void {
  app.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', async (request: FastifyRequest, body: IncomingMessage) => {
      const { provider } = request.params as Received['Params']
      return readWebhookBody(body, findProvider(provider)?.webhook.maxBodyBytes)
    })
    scope.post('/webhooks/:provider', async (request: FastifyRequest<Received>, reply: FastifyReply) => {
      const provider = findProvider(request.params.provider)
      if (!provider) return reply.callNotFound()
      const body = request.body ?? Buffer.alloc(0)
      const header = (name: string) => {
        const values = request.raw.headersDistinct[name]
        return values?.length === 1 ? values[0] || null : null
      }
      const answer = await receiveWebhook(services, provider, { body, header }).catch((error: unknown) => {
        throw toAppError(error) ?? error
      })
      return reply.type('text/plain; charset=utf-8').send(answer)
    })
  })
}
