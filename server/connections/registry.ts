import type { Provider } from './provider.ts'
import { github } from './providers/github.ts'
import { linear } from './providers/linear.ts'
import { notion } from './providers/notion.ts'
import { slack } from './providers/slack.ts'
import type { ProviderName } from './schema.ts'

const BY_NAME: Readonly<Record<ProviderName, Provider>> = Object.freeze({ notion, github, slack, linear })

export function providerOf(name: ProviderName): Provider {
  return BY_NAME[name]
}
