import { AsyncLocalStorage } from 'node:async_hooks'
import type { WaitBounds } from './time-budget.ts'

/** The scope that a statement carries: its caller, and the bounds within which it runs. */
export interface StatementScope extends WaitBounds {
  /** Kind and SHA-256 of the caller's secret: `s:<hex>` for a session, `t:<hex>` for an API token. */
  readonly credential: string
  /** The organization that the call names; null to use that of the session or the token. */
  readonly organizationId: string | null
  /** What the credential must allow: a scope such as `tasks:read`, `session`, or `any`. */
  readonly permission: string
  readonly isReadOnly: boolean
  /** How long one statement may run, in milliseconds; less if the request's budget ends sooner. */
  readonly timeoutMs: number
  /** True for a read-only transaction whose reader may be slow: minutes may pass between two statements. */
  readonly isUnhurried?: boolean
  /** Cancels the running statement, or the wait for a connection, when it fires. */
  readonly signal?: AbortSignal | undefined
  /**
   * Called when the credential's last use should be recorded; `isSlideDue` means that its session should be
   * prolonged.
   */
  readonly onTouchDue?: ((isSlideDue: boolean) => void) | undefined
}

/** The scope of a statement without a credential: it runs as the public login, read-only. */
export interface PublicScope extends WaitBounds {
  readonly credential: null
  readonly timeoutMs: number
}

export const DEFAULT_TIMEOUT_MS = 10_000

const scopes = new AsyncLocalStorage<StatementScope>()

/** Thrown for a statement without a scope: outside a procedure, set one with {@link withScope}. */
export class MissingScopeError extends Error {
  constructor() {
    super('this statement has no scope: run it in a procedure, or inside withScope(scope, () => …)')
    this.name = 'MissingScopeError'
  }
}

/**
 * Runs `fn` with `scope` for every statement of the ambient database ({@link file://./database.ts}) in it and
 * in what it awaits. For code outside of procedures: React server components, scripts, jobs.
 */
export function withScope<T>(scope: StatementScope, fn: () => T): T {
  return scopes.run(scope, fn)
}

export function currentScope(): StatementScope {
  const scope = scopes.getStore()
  if (!scope) throw new MissingScopeError()
  return scope
}
