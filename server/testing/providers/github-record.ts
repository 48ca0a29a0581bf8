import { randomUUID } from 'node:crypto'
import type { GitHubApp } from '#server/rooms/connections/providers/github-app.ts'
import { type FakeGithub, openFakeGithub } from './github.ts'
import { hmac, type TestProvider } from './test-provider.ts'

export const github: TestProvider<FakeGithub, GitHubApp> = {
  async open(options) {
    const fake = await openFakeGithub(options)
    const { id: appId, ...registered } = fake.app
    const { slug, clientId, clientSecret, privateKey } = registered
    return {
      fake,
      app: { ...registered, appId, apiUrl: fake.url, webUrl: fake.url },
      environment: {
        GITHUB_APP_ID: appId,
        GITHUB_APP_SLUG: slug,
        GITHUB_APP_CLIENT_ID: clientId,
        GITHUB_APP_CLIENT_SECRET: clientSecret,
        GITHUB_APP_PRIVATE_KEY: privateKey,
        GITHUB_API_URL: fake.url,
      },
      tokens: fake.userTokens,
      furnish() {
        const acme = { login: 'acme', type: 'Organization', repositories: 2, visibleTo: ['ada'] } as const
        fake.browse({ login: 'ada', installation: fake.installations[0] ?? fake.install(acme) })
      },
    }
  },
  call: 'connections.github.repositories',
  tokenEndpoint: 'POST /login/oauth/access_token',
  settings: { accountLogin: 'ada', accountType: 'User', repositorySelection: 'all', isSuspended: false },
  webhook: {
    secret: 'github-webhook-secret-5d1f',
    variable: 'GITHUB_APP_WEBHOOK_SECRET',
    signatureHeader: 'x-hub-signature-256',
    headersOf: (body, { secret }) => ({
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${hmac(secret, body)}`,
    }),
    newExternalId: () => String(Math.floor(Math.random() * 1e12) + 1),
    event: externalId => ({
      ref: 'main',
      after: randomUUID(),
      installation: { id: Number(externalId) },
    }),
    end: externalId => installationEvent(externalId, 'deleted'),
  },
}

/** An event about an installation itself. */
export function installationEvent(installationId: string, action: string) {
  return {
    body: {
      action,
      installation: { id: Number(installationId), account: { login: 'ada', type: 'User' } },
      sender: { login: 'ada' },
    },
    headers: { 'x-github-event': 'installation' },
  }
}
