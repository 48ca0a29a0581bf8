import type { Provider } from './provider.ts'
import { github } from './providers/github.ts'
import { linear } from './providers/linear.ts'
import { notion } from './providers/notion.ts'
import { slack } from './providers/slack.ts'
import { PROVIDERS, type ProviderName } from './schema.ts'

/** The record of each provider that the database knows. */
export const REGISTRY = Object.freeze({ notion, github, slack, linear }) satisfies {
  readonly [Name in ProviderName]: Provider
}

/** The provider's app, as the operator configured it. */
export type AppOf<Name extends ProviderName> =
  (typeof REGISTRY)[Name] extends Provider<infer App> ? App : never

const BY_NAME: { readonly [Name in ProviderName]: Provider<AppOf<Name>> } = REGISTRY

export function providerOf<Name extends ProviderName>(name: Name): Provider<AppOf<Name>> {
  return BY_NAME[name]
}

/** Returns the provider of this name; null for any other word. */
export function findProvider(word: string): Provider | null {
  const name = PROVIDERS.find(provider => provider === word)
  return name ? providerOf(name) : null
}
