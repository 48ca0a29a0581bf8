import { randomUUID } from 'node:crypto'
import { type FakeSlack, openFakeSlack } from './slack.ts'
import { hmac, oauthAppOf, type TestProvider } from './test-provider.ts'

export const slack: TestProvider<FakeSlack> = {
  async open(options) {
    const fake = await openFakeSlack(options)
    return {
      ...oauthAppOf(fake, 'SLACK'),
      fake,
      tokens: fake.tokens,
      furnish: () => fake.browse(fake.teams[0] ?? fake.addTeam({ name: 'Acme', channels: 3 })),
      decline: () => fake.browse(null),
    }
  },
  call: 'connections.slack.channels',
  tokenEndpoint: 'POST /api/oauth.v2.access',
  settings: { teamName: 'a team' },
  webhook: {
    secret: 'slack-signing-secret-77aa',
    variable: 'SLACK_SIGNING_SECRET',
    signatureHeader: 'x-slack-signature',
    headersOf: (body, { secret, at }) => ({
      'x-slack-request-timestamp': String(at),
      'x-slack-signature': `v0=${hmac(secret, `v0:${at}:`, body)}`,
    }),
    newExternalId: () => `T-${randomUUID()}`,
    event: externalId => slackEvent(externalId, { type: 'message', text: 'hi' }),
    end: externalId => ({ body: slackEvent(externalId, { type: 'app_uninstalled' }) }),
  },
}

export function slackEvent(teamId: string, event: object): object {
  return {
    token: 'slack-verification-token',
    team_id: teamId,
    api_app_id: 'A1',
    type: 'event_callback',
    event_id: `Ev${randomUUID()}`,
    event_time: Math.floor(Date.now() / 1_000),
    event,
  }
}
