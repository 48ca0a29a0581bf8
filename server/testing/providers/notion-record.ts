import { randomUUID } from 'node:crypto'
import { type FakeNotion, openFakeNotion } from './notion.ts'
import { hmac, oauthAppOf, type TestProvider } from './test-provider.ts'

export const notion: TestProvider<FakeNotion> = {
  async open(options) {
    const fake = await openFakeNotion(options)
    return {
      ...oauthAppOf(fake, 'NOTION'),
      fake,
      tokens: fake.tokens,
      furnish: () => fake.browse(fake.workspaces[0] ?? fake.addWorkspace({ name: 'Acme' })),
      decline: () => fake.browse(null),
    }
  },
  call: 'connections.notion.databases',
  tokenEndpoint: 'POST /v1/oauth/token',
  settings: {},
  webhook: {
    secret: 'secret_notion-token-9b2e',
    variable: 'NOTION_WEBHOOK_TOKEN',
    signatureHeader: 'x-notion-signature',
    headersOf: (body, { secret }) => ({ 'x-notion-signature': `sha256=${hmac(secret, body)}` }),
    newExternalId: () => `T-${randomUUID()}`,
    event: externalId => ({
      id: randomUUID(),
      timestamp: new Date().toISOString(),
      workspace_id: externalId,
      type: 'page.content_updated',
      entity: { id: randomUUID(), type: 'page' },
    }),
    end: () => null,
  },
}
