/** An expected failure of a command: the message says what happened, to which object, and what to do. */
export class MigrationError extends Error {
  override name = 'MigrationError'
  /** A stable code for scripts (`--json`). */
  readonly code: string
  readonly file: string | undefined
  readonly line: number | undefined

  constructor(
    code: string,
    message: string,
    options: { file?: string; line?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.file = options.file
    this.line = options.line
  }
}

/** The fields of a Postgres error that are printed. */
export interface PostgresFailure {
  code: string
  message: string
  position?: string
  hint?: string
  detail?: string
  where?: string
}

export function asPostgresFailure(error: unknown): PostgresFailure | null {
  if (!(error instanceof Error) || !('code' in error) || !('severity' in error)) return null
  const failure: Partial<Record<keyof PostgresFailure, unknown>> = error
  if (typeof failure.code !== 'string') return null
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  return {
    code: failure.code,
    message: error.message,
    position: text(failure.position),
    hint: text(failure.hint),
    detail: text(failure.detail),
    where: text(failure.where),
  }
}

/** Replaces password literals, so that an excerpt of a failing statement can be printed. */
export function withoutPasswords(text: string): string {
  return text
    .replace(/(\bpassword\s+)e?'(?:[^'\\]|''|\\.)*'?/gi, "$1'…'")
    .replace(/(\bpassword\s+)\$(\w*)\$[\s\S]*?(\$\2\$|$)/gi, "$1'…'")
    .replace(/(\b\w+:\/\/[^\s:/@']+:)[^\s@/']+@/g, '$1…@')
}
