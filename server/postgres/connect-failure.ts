import type { SessionKind } from './connection-plan.ts'
import type { Host } from './connection-url.ts'

/**
 * The stage that an attempt reached: a server that accepts the connection and then stays silent is another
 * fault than one that is unreachable.
 */
export type Stage = 'connecting' | 'encrypting' | 'logging in'

export interface FailedAttempt {
  readonly host: Host
  readonly stage: Stage
  readonly error: Error
}

/** Added to the error with which a connection fails. */
export interface ConnectFailure extends Error {
  attempts?: readonly FailedAttempt[]
}

/** The server is not of the kind that target_session_attrs asks for. */
class UnwantedServerError extends Error {
  override readonly name = 'UnwantedServerError'
}

/** The server uses an authentication method that require_auth forbids. */
export class ForbiddenLoginError extends Error {
  override readonly name = 'ForbiddenLoginError'
}

/** Returns why a server is not of the wanted kind; null if it is. */
export function unwantedServer(
  wanted: SessionKind,
  { isStandby, isReadOnly }: { isStandby: boolean; isReadOnly: boolean },
): Error | null {
  const isWanted = {
    any: true,
    'read-write': !isReadOnly,
    'read-only': isReadOnly,
    primary: !isStandby,
    standby: isStandby,
    'prefer-standby': isStandby,
  }[wanted]
  if (isWanted) return null
  const found = isStandby ? 'a standby' : isReadOnly ? 'read-only' : 'a primary that accepts writes'
  return new UnwantedServerError(`the server is ${found}, and target_session_attrs=${wanted}`)
}
