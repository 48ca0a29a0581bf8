import { z } from 'zod'
import type { Provider } from '#server/rooms/connections/provider.ts'
import { type AppOf, providerOf } from '#server/rooms/connections/registry.ts'
import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import type { ConfigReader } from './reader.ts'

/** The apps that the operator registered with each provider; null: that provider is off. */
export type ProvidersConfig = { readonly [Name in ProviderName]: AppOf<Name> | null }

/** What each provider signs its webhooks with; null: its webhooks are refused. */
export type WebhookSecrets = Readonly<Record<ProviderName, string | null>>

export const NO_PROVIDERS: ProvidersConfig = byProvider(() => null)
export const NO_WEBHOOK_SECRETS: WebhookSecrets = byProvider(() => null)

export function readProviders(reader: ConfigReader): ProvidersConfig {
  return byProvider(provider => provider.readApp(reader)) as ProvidersConfig
}

export function readWebhookSecrets(reader: ConfigReader): WebhookSecrets {
  return byProvider(
    ({ webhook }) =>
      reader.read(webhook.secretVariable, {
        schema: z.string().min(8),
        must: 'the secret as the provider shows it, of at least 8 characters',
        example: '…',
        isSecret: true,
      }) ?? null,
  )
}

function byProvider<T>(read: (provider: Provider) => T): Readonly<Record<ProviderName, T>> {
  const entries = PROVIDERS.map(name => [name, read(providerOf(name))])
  return Object.fromEntries(entries)
}
