import type { FastifyInstance } from 'fastify'
import type { Config } from '#server/app/config.ts'
import type { Loop } from '#server/app/repeat-every.ts'
import type { Services } from '#server/app/services.ts'
import { createProcessor } from './processor.ts'
import { registerWebhookRoute } from './route.ts'
import { keepWebhookSecret } from './secret-keeper.ts'

/** Registers the route of webhooks. Returns the processor of events, which starts when it is woken. */
export function serveWebhooks(
  app: FastifyInstance,
  { dataDir, providers, webhookSecrets }: Pick<Config, 'dataDir' | 'providers' | 'webhookSecrets'>,
  { pools: { system }, log }: Pick<Services, 'pools' | 'log'>,
): Loop {
  const processor = createProcessor({ system, log })
  registerWebhookRoute(app, {
    system,
    providers,
    secrets: webhookSecrets,
    keepSecret: (provider, secret) => keepWebhookSecret({ dataDir, log }, provider, secret),
    onEvents: processor.wake,
  })
  return processor
}
