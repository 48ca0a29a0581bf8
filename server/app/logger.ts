import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

const SECRET_HEADERS = [
  'authorization',
  'cookie',
  'set-cookie',
  'set-auth-token',
  'set-two-factor-token',
  'x-two-factor-token',
  'proxy-authorization',
]
const SECRET_FIELDS = ['password', 'token', 'secret', 'credential', 'lease', 'connectionString']

/** What never reaches a log line, wherever a caller puts a request, its headers or a credential. */
const REDACTED = [
  ...SECRET_HEADERS.flatMap(name => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]),
  ...SECRET_FIELDS.flatMap(name => [name, `*.${name}`]),
]

export interface LoggerOptions {
  level?: LogLevel
  /** Standard output when absent. */
  destination?: DestinationStream
}

/** One JSON object a line. Statements and successful requests are at debug, faults of ours at error. */
export function createLogger({ level = 'info', destination }: LoggerOptions = {}): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: REDACTED, censor: '[redacted]' },
  }
  return destination ? pino(options, destination) : pino(options)
}
