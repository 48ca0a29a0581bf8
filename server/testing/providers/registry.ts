import type { OAuthApp } from '#server/rooms/connections/app.ts'
import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import type { ProviderControls } from './fake-server.ts'
import { github } from './github-record.ts'
import { linear } from './linear-record.ts'
import { notion } from './notion-record.ts'
import { slack } from './slack-record.ts'
import type { OpenProvider, TestProvider } from './test-provider.ts'

export const TEST_PROVIDERS = { notion, github, slack, linear } satisfies Record<
  ProviderName,
  TestProvider<ProviderControls>
>

/** All fake providers, open. */
export type OpenProviders = {
  readonly [Name in ProviderName]: Awaited<ReturnType<(typeof TEST_PROVIDERS)[Name]['open']>>
}

export type Fakes = { readonly [Name in ProviderName]: OpenProviders[Name]['fake'] }

type AnyOpen = OpenProvider<ProviderControls, OAuthApp>

export async function openProviders(appUrl: string): Promise<OpenProviders> {
  const entries = PROVIDERS.map(async name => {
    const open = await TEST_PROVIDERS[name].open({ callbackUrls: [`${appUrl}/oauth/${name}/callback`] })
    return [name, open] as const
  })
  return Object.fromEntries(await Promise.all(entries)) as unknown as OpenProviders
}

/** The same property of each. */
export function eachOf<T>(
  opened: OpenProviders,
  read: (one: AnyOpen) => T,
): Readonly<Record<ProviderName, T>> {
  const entries = PROVIDERS.map(name => [name, read(opened[name])])
  return Object.fromEntries(entries)
}
