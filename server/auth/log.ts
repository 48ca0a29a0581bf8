import pg from 'pg'
import type { Logger } from 'pino'

export type AuthLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

const MAX_LENGTH = 300

/**
 * An error without the parts that may quote secrets: a database's detail line contains the refused row with
 * its password hash, and errors of an OAuth exchange contain its tokens.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const described = { name: error.name, message: error.message.slice(0, MAX_LENGTH), stack: error.stack }
  if (!(error instanceof pg.DatabaseError)) return described
  return { ...described, code: error.code, constraint: error.constraint, table: error.table }
}

/**
 * Writes the library's log to ours. It reports wrong passwords as warnings and foreign origins as errors:
 * both are caused by callers and logged at debug level. Arguments other than text and errors are dropped.
 */
export function libraryLogger(log: AuthLog) {
  return {
    level: 'info' as const,
    disableColors: true,
    log: (level: string, message: string, ...details: unknown[]) => {
      const text = `better-auth: ${String(message).slice(0, MAX_LENGTH)}`
      const error = [message as unknown, ...details].find(detail => detail instanceof Error)
      if (error && level === 'error') log.error({ error: describeError(error) }, text)
      else log.debug(text)
    },
  }
}
