import { randomUUID } from 'node:crypto'
import { type FakeLinear, openFakeLinear } from './linear.ts'
import { hmac, oauthAppOf, type TestProvider } from './test-provider.ts'

export const linear: TestProvider<FakeLinear> = {
  async open(options) {
    const fake = await openFakeLinear(options)
    return {
      ...oauthAppOf(fake, 'LINEAR'),
      fake,
      tokens: fake.tokens,
      furnish: () => fake.browse(fake.organizations[0] ?? fake.addOrganization({ name: 'Acme' })),
      decline: () => fake.browse(null),
    }
  },
  call: 'connections.linear.teams',
  tokenEndpoint: 'POST /oauth/token',
  settings: { organizationName: 'a workspace', urlKey: 'a-workspace' },
  webhook: {
    secret: 'lin_wh_secret-31c0',
    variable: 'LINEAR_WEBHOOK_SECRET',
    signatureHeader: 'linear-signature',
    headersOf: (body, { secret }) => ({
      'linear-delivery': randomUUID(),
      'linear-signature': hmac(secret, body),
    }),
    newExternalId: () => `T-${randomUUID()}`,
    event: linearEvent,
    end: externalId => ({
      body: linearEvent(externalId, { type: 'OAuthApp', action: 'revoked', oauthClientId: 'a client' }),
    }),
  },
}

export function linearEvent(organizationId: string, extra: object = {}): object {
  return {
    type: 'Issue',
    action: 'create',
    organizationId,
    data: { id: randomUUID(), title: 'an issue' },
    webhookId: randomUUID(),
    webhookTimestamp: Date.now(),
    ...extra,
  }
}
