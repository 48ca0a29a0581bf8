import { DEFAULT_TIMEOUT_MS, type StatementScope } from '#server/db/scope.ts'
import type { Actor } from './actors.ts'
import { sessionCredential } from './isolation/dataset.ts'

/** The scope of this actor's statements. */
export function scopeOf(
  actor: Pick<Actor, 'token'>,
  overrides: Partial<StatementScope> = {},
): StatementScope {
  return {
    credential: sessionCredential(actor),
    organizationId: null,
    permission: 'any',
    isReadOnly: false,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    ...overrides,
  }
}
