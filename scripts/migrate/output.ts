import { ConnectionUrlError } from '#server/postgres/connection-url.ts'
import { asPostgresFailure, MigrationError, withoutPasswords } from '#server/postgres/migrations/errors.ts'

export interface OutputOptions {
  json?: boolean
  silent?: boolean
}

/** A command's output: lines for a person, or one JSON object on stdout for a script. */
export interface Output {
  /** Prints a line of progress. */
  log: (line: string) => void
  /** Prints the result of a command that succeeded. */
  done: (result: object, lines: string[]) => void
}

export function createOutput({ json = false, silent = false }: OutputOptions): Output {
  return {
    log: line => {
      if (silent) return
      if (json) process.stderr.write(`${line}\n`)
      else process.stdout.write(`${line}\n`)
    },
    done: (result, lines) => {
      if (json) process.stdout.write(`${JSON.stringify({ ok: true, ...result }, null, 2)}\n`)
      else if (!silent && lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`)
    },
  }
}

/** A check that failed; the message says what is wrong. */
export class CheckFailed extends MigrationError {
  readonly details: object

  constructor(message: string, details: object) {
    super('check_failed', message)
    this.details = details
  }
}

export interface Failure {
  code: string
  message: string
  file?: string
  line?: number
}

/** Prints an error: on stderr, or as JSON on stdout. */
export function printFailure(
  failure: Failure,
  details: object,
  command: string,
  { json }: OutputOptions,
): void {
  if (json) process.stdout.write(`${JSON.stringify({ ok: false, error: failure, ...details }, null, 2)}\n`)
  else process.stderr.write(`${command}: ${failure.message}\n`)
}

/** Returns the message of an expected error; an unexpected one is a bug and returns its stack. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof MigrationError) {
    const { code, message, file, line } = error
    return { code, message, file, line }
  }
  if (error instanceof ConnectionUrlError)
    return { code: 'bad_url', message: `the database URL ${error.message}` }
  const postgres = asPostgresFailure(error)
  if (postgres) {
    const code = postgres.code === '42501' ? 'no_permission' : 'database'
    return { code, message: withoutPasswords(`${postgres.message} (${postgres.code})`) }
  }
  if (!(error instanceof Error)) return { code: 'internal', message: String(error) }
  const isKnown = [
    'ConfigError',
    'DataFileError',
    'EmbeddedPostgresError',
    'LoginSetupError',
    'WrongKeysError',
    'LockHeldError',
  ].includes(error.name)
  return {
    code: isKnown ? 'configuration' : 'internal',
    message: withoutPasswords(isKnown ? error.message : (error.stack ?? error.message)),
  }
}
