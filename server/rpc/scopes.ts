const ROOMS = [
  'keys',
  'connectors',
  'connections',
  'events',
  'tasks',
  'runs',
  'tools',
  'approvals',
  'ai-providers',
  'settings',
  'media',
  'content',
] as const

type Room = (typeof ROOMS)[number]

/** What an API token may carry. `write` implies `read`; there is no wildcard. */
export type Scope = `${Room}:read` | `${Room}:write` | 'keys:reveal' | 'tasks:work'

export const SCOPES: readonly Scope[] = [
  ...ROOMS.flatMap((room): Scope[] => [`${room}:read`, `${room}:write`]),
  'keys:reveal',
  'tasks:work',
]

/**
 * What a procedure asks of a credential: a scope, any session or token, a session, or a lease. With `+lease`, a lease will do as
 * well: it acts for its task's owner, on that task. `none` asks for no credential at all.
 */
export type Permission = Scope | 'any' | 'session' | 'lease' | 'none' | `${Scope | 'any'}+lease`
