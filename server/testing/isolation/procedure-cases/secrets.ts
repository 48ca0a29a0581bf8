import { type CasesOf, COOKIES_ONLY, NO_PROVIDER, NOT_FOUND, nothing } from './case.ts'

export const SECRET_CASES: CasesOf<'keys' | 'connectors' | 'connections' | 'events'> = {
  'keys.set': [
    { input: () => ({ provider: 'anthropic', value: 'a key' }), stranger: 'own' },
    { input: () => ({ provider: 'openai', value: 'a key' }), stranger: 'own' },
  ],
  'keys.list': [{ input: nothing, stranger: 'own' }],
  'keys.remove': [{ input: () => ({ provider: 'anthropic' }), stranger: NOT_FOUND }],
  'keys.reveal': [{ input: () => ({ provider: 'anthropic' }), stranger: NOT_FOUND }],

  'connectors.create': [
    {
      input: () => ({
        kind: 'remote',
        name: 'a connector',
        url: 'https://mcp.example.com/',
        headers: { authorization: 'Bearer a secret' },
      }),
      stranger: 'own',
    },
    { input: () => ({ kind: 'local', name: 'a connector', command: 'mcp-server' }), stranger: 'own' },
  ],
  'connectors.list': [{ input: nothing, stranger: 'own' }],
  'connectors.get': [{ input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND }],
  'connectors.update': [
    { input: owner => ({ id: owner.connectorId, name: 'a name' }), stranger: NOT_FOUND },
    {
      input: owner => ({ id: owner.connectorId, env: { TOKEN: 'a secret' }, headers: null }),
      stranger: NOT_FOUND,
    },
    { input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND },
  ],
  // An answer all the same: its address is refused, without asking anybody.
  'connectors.test': [{ input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND }],
  'connectors.remove': [{ input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND }],

  'connections.providers': [{ input: nothing, stranger: 'own' }],
  'connections.list': [{ input: nothing, stranger: 'own' }],
  'connections.authorize': [
    {
      input: () => ({ provider: 'notion', returnTo: '/settings' }),
      stranger: COOKIES_ONLY,
      owner: COOKIES_ONLY,
    },
  ],
  'connections.disconnect': [{ input: owner => ({ id: owner.connectionIds.notion }), stranger: NOT_FOUND }],
  'connections.notion.databases': [
    {
      input: owner => ({ connectionId: owner.connectionIds.notion, search: 'plans' }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.notion.selectDatabase': [
    {
      input: owner => ({
        connectionId: owner.connectionIds.notion,
        databaseId: '0198c0de-0000-7000-8000-000000000000',
      }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.github.repositories': [
    {
      input: owner => ({ connectionId: owner.connectionIds.github }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.slack.channels': [
    {
      input: owner => ({ connectionId: owner.connectionIds.slack }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.linear.teams': [
    {
      input: owner => ({ connectionId: owner.connectionIds.linear }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],

  'events.list': [
    { input: nothing, stranger: 'own' },
    { input: owner => ({ cursor: owner.eventId, provider: 'github', status: 'dead' }), stranger: 'own' },
  ],
  'events.get': [{ input: owner => ({ id: owner.eventId }), stranger: NOT_FOUND }],
  'events.replay': [{ input: owner => ({ id: owner.eventId }), stranger: NOT_FOUND }],
}
