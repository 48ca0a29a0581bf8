import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface PasswordWanted {
  /** Null for `.pgpass` in the home directory. */
  readonly path: string | null
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/**
 * The password for this login in libpq's password file; null if it has none. As in libpq, a file that others
 * may read is ignored. https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
export function passwordFromFile({ path, host, port, database, user }: PasswordWanted): string | null {
  const file = path ?? join(homedir(), '.pgpass')
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat?.isFile() || (stat.mode & 0o077) !== 0) return null
  // libpq's name for the default socket directories in this file.
  const name = /^\/(tmp|var\/run\/postgresql|run\/postgresql)$/.test(host) ? 'localhost' : host
  const wanted = [[host, name], [String(port)], [database], [user]]
  for (const line of readFileSync(file, 'utf8').split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = line.match(/(?:\\.|[^:\\])*(?::|$)/g)?.map(field => field.replace(/:$/, '')) ?? []
    const isMatch = wanted.every((values, index) => {
      const field = fields[index] ?? ''
      return field === '*' || values.includes(field.replace(/\\(.)/g, '$1'))
    })
    const password = fields[wanted.length]
    if (isMatch && password) return password.replace(/\\(.)/g, '$1')
  }
  return null
}
