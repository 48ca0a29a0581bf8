import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.ts'
import type { Services } from '../services.ts'
import { notionTokenKeeper } from './notion-token.ts'
import { createProcessor, type Processor } from './processor.ts'
import { registerWebhookRoute } from './route.ts'

/** Receives webhooks. Returns what works off events, whichever process received them, once it is woken. */
export function serveWebhooks(
  app: FastifyInstance,
  config: Pick<Config, 'dataDir' | 'providers' | 'webhookSecrets'>,
  { pools: { system }, log }: Pick<Services, 'pools' | 'log'>,
): Processor {
  const processor = createProcessor({ system, log })
  registerWebhookRoute(app, {
    system,
    secrets: config.webhookSecrets,
    keepNotionToken: config.providers.notion && notionTokenKeeper(config.dataDir, log),
    onEvents: processor.wake,
  })
  return processor
}
