import type { SessionKind } from './connection-plan.ts'
import type { Host } from './connection-url.ts'

/**
 * How far an attempt came: a server that takes the connection and is then silent is another fault than one
 * that is away.
 */
export type Stage = 'connecting' | 'encrypting' | 'logging in'

/** An attempt that failed, and why. */
export interface FailedAttempt {
  readonly host: Host
  readonly stage: Stage
  readonly error: Error
}

/** Set on the error that a connection fails with. */
export interface ConnectFailure extends Error {
  attempts?: readonly FailedAttempt[]
}

/** The server is not of the kind that the URL asks for. */
class UnwantedServerError extends Error {
  override readonly name = 'UnwantedServerError'
}

/** The server lets in by a method that the URL forbids. */
export class ForbiddenLoginError extends Error {
  override readonly name = 'ForbiddenLoginError'
}

/** What keeps a server from being one of the kind asked for; null if nothing does. */
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
  const found = isStandby ? 'a standby' : isReadOnly ? 'read-only' : 'a primary that takes writes'
  return new UnwantedServerError(`the server is ${found}, and target_session_attrs=${wanted}`)
}
