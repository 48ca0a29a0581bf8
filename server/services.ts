import type { Logger } from 'pino'
import type { Pools } from './db/pools.ts'

/** What procedures need besides their caller: made once a process. */
export interface Services {
  readonly pools: Pools
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>
  readonly authSecret: string
  readonly appUrl: string
  /** Whether the application is served over HTTPS, so that cookies say `Secure`. */
  readonly isSecure: boolean
  readonly quotas: { readonly maxTasksPerDay: number; readonly maxMessagesPerDay: number }
  readonly verifyPassword: (userId: string, password: string) => Promise<boolean>
}
