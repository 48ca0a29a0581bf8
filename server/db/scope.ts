import { AsyncLocalStorage } from 'node:async_hooks'
import type { WaitBounds } from './time-budget.ts'

/** What a statement carries besides itself: who asks, and within which bounds it runs. */
export interface StatementScope extends WaitBounds {
  /** Kind and SHA-256 of the caller's secret: `s:<hex>` for a session, `t:<hex>` for an API token. */
  readonly credential: string
  /** The organization named by the call; null leaves it to the session or the token. */
  readonly organizationId: string | null
  /** What the credential must allow: a scope such as `tasks:read`, `session`, or `any`. */
  readonly permission: string
  readonly isReadOnly: boolean
  /**
   * How long one statement may run, in milliseconds; less where the budget of the request is used up sooner.
   */
  readonly timeoutMs: number
  /**
   * A transaction that only reads, as slowly as somebody takes what it reads: minutes pass between two
   * statements.
   */
  readonly isUnhurried?: boolean
  /** Cancels the running statement when it fires, and the wait for a connection. */
  readonly signal?: AbortSignal | undefined
  /**
   * Called when the credential's last use should be noted; `isSlideDue` says that its session should be
   * prolonged.
   */
  readonly onTouchDue?: ((isSlideDue: boolean) => void) | undefined
}

/** What a statement carries that anyone may make: it runs as the public login, and reads only. */
export interface PublicScope extends WaitBounds {
  readonly credential: null
  readonly timeoutMs: number
}

export const DEFAULT_TIMEOUT_MS = 10_000

const scopes = new AsyncLocalStorage<StatementScope>()

/** Thrown for a statement that nobody asks: outside a procedure, say who does with {@link withScope}. */
export class MissingScopeError extends Error {
  constructor() {
    super('this statement has no scope: run it in a procedure, or inside withScope(scope, () => …)')
    this.name = 'MissingScopeError'
  }
}

/**
 * Runs `fn` so that every statement of the ambient database ({@link file://./database.ts}) in it, and in what
 * it awaits, is made under `scope`. For code that is no procedure: React server components, scripts, jobs.
 */
export function withScope<T>(scope: StatementScope, fn: () => T): T {
  return scopes.run(scope, fn)
}

export function currentScope(): StatementScope {
  const scope = scopes.getStore()
  if (!scope) throw new MissingScopeError()
  return scope
}
