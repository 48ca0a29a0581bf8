import pg from 'pg'
import type { Logger } from 'pino'

export type AuthLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

const MAX_LENGTH = 300

/**
 * An error without what it may quote: a database's detail line holds the row that was refused, password hash
 * included, and errors of an exchanged OAuth code hold tokens.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const described = { name: error.name, message: error.message.slice(0, MAX_LENGTH), stack: error.stack }
  if (!(error instanceof pg.DatabaseError)) return described
  return { ...described, code: error.code, constraint: error.constraint, table: error.table }
}

/**
 * The library's log on ours. It reports wrong passwords as warnings and foreign origins as errors: both are a
 * caller's doing and told at debug level. What is more than text in its arguments is left out, unless it is
 * an error.
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
