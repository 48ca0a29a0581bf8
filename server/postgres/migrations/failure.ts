import { asPostgresFailure, MigrationError, withoutPasswords } from './errors.ts'
import type { MigrationFile } from './file.ts'
import { countLines, type Statement } from './statements.ts'

/** Explains why a statement failed: file, line, the line itself, and the state of the database afterwards. */
export function explainStatementFailure(
  error: unknown,
  at: { file: MigrationFile; statement: Statement; leftBehind: string },
): MigrationError {
  const { file, statement, leftBehind } = at
  const failure = asPostgresFailure(error)
  if (!failure) {
    const reason = withoutPasswords(error instanceof Error ? error.message : String(error))
    return new MigrationError(
      'connection_lost',
      `${file.path}:${statement.line}: the connection was lost (${reason}); ${leftBehind}`,
      { file: file.path, line: statement.line, cause: error },
    )
  }
  const offset = offsetOf(statement.text, failure.position)
  const line = statement.line + countLines(statement.text, offset)
  const message = [
    `${file.path}:${line}: ${failure.message} (${failure.code})`,
    excerpt(statement, offset),
    failure.detail && !failure.detail.startsWith('Failing row') && `  detail: ${failure.detail}`,
    failure.hint && `  hint: ${failure.hint}`,
    failure.where && `  where: ${failure.where.split('\n')[0]}`,
    leftBehind,
  ]
  return new MigrationError(
    failure.code === '42501' ? 'no_permission' : 'statement_failed',
    withoutPasswords(message.filter(part => part).join('\n')),
    { file: file.path, line, cause: error },
  )
}

/** Postgres counts positions in characters from 1; JavaScript in UTF-16 units from 0. */
function offsetOf(text: string, position: string | undefined): number {
  if (position === undefined) return 0
  return [...text].slice(0, Number(position) - 1).join('').length
}

function excerpt(statement: Statement, offset: number): string {
  const start = statement.text.lastIndexOf('\n', offset - 1) + 1
  const lineEnd = statement.text.indexOf('\n', offset)
  const line = withoutPasswords(statement.text.slice(start, lineEnd < 0 ? undefined : lineEnd))
  const number = String(statement.line + countLines(statement.text, offset))
  const shown = line.length > 160 ? `${line.slice(0, 159)}…` : line
  const column = offset - start
  const caret =
    column > 0 && column < shown.length ? `\n  ${' '.repeat(number.length)} | ${' '.repeat(column)}^` : ''
  return `  ${number} | ${shown}${caret}`
}
