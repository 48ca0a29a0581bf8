import { NO_PROVIDERS } from '#server/app/config/providers.ts'
import { providerOf } from '#server/rooms/connections/registry.ts'
import type { ProviderName } from '#server/rooms/connections/schema.ts'
import type { House } from '#server/testing/actors.ts'
import { readEvents, type Sent, WEBHOOK_SECRETS } from '#server/testing/webhooks.ts'
import { processDueEvents } from './processor.ts'
import { receiveWebhook } from './receive.ts'

/** Receives and processes events of a house, each when a test says so. */
export function processingOf(house: () => House) {
  /** Receives without HTTP, so that nothing is processed before the test calls for it. */
  async function receive(provider: ProviderName, sent: Sent | null): Promise<void> {
    if (!sent) throw new Error(`${provider} sends nothing`)
    const { body, headers } = sent
    const services = {
      system: house().services.pools.system,
      providers: NO_PROVIDERS,
      secrets: WEBHOOK_SECRETS,
      keepSecret: () => Promise.reject(new Error('no provider configures its webhooks here')),
      onEvents: () => {},
    }
    const header = (name: string) => {
      const value = headers[name]
      return typeof value === 'string' ? value : null
    }
    await receiveWebhook(services, providerOf(provider), { body: Buffer.from(body), header })
  }

  const processor = () => ({ system: house().services.pools.system, log: house().services.log })

  /** Processes all due events. */
  async function processAll(): Promise<void> {
    while ((await processDueEvents(processor())) > 0);
  }

  /** Makes every next attempt due, and expires every claim. */
  async function passTime(): Promise<void> {
    await house().owner.query(
      'update app.webhook_events set next_attempt_at = now() where next_attempt_at > now()',
    )
  }

  async function eventFor(connectionId: string): Promise<Record<string, unknown>> {
    const [event] = (await readEvents(house(), connectionId)).slice(-1)
    if (!event) throw new Error('there is no event')
    return event
  }

  return { receive, processor, processAll, passTime, eventFor }
}
