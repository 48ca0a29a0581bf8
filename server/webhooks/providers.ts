import type { ProviderName } from '../connections/schema.ts'
import type { WebhookProvider } from './provider.ts'
import { github } from './providers/github.ts'
import { linear } from './providers/linear.ts'
import { notion } from './providers/notion.ts'
import { slack } from './providers/slack.ts'

const WEBHOOK_PROVIDERS: { readonly [Name in ProviderName]: WebhookProvider } = {
  notion,
  github,
  slack,
  linear,
}

/** The provider of this name; null for any other. */
export function findWebhookProvider(name: string): { name: ProviderName; provider: WebhookProvider } | null {
  if (!Object.hasOwn(WEBHOOK_PROVIDERS, name)) return null
  const known = name as ProviderName
  return { name: known, provider: WEBHOOK_PROVIDERS[known] }
}
