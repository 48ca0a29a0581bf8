import { hash } from 'node:crypto'
import type { Column } from './columns.ts'

/** Each costs tens of kB per connection, so the least recently used ones over this number are closed. */
const MAX_STATEMENTS = 200

export interface PreparedStatement {
  readonly name: string
  /** The returned columns; empty for a statement that returns no rows. */
  readonly columns: readonly Column[]
}

/** The prepared statements of one connection, by SQL text, least recently used first. */
export class PreparedStatements {
  readonly #bySql = new Map<string, PreparedStatement>()

  get(sql: string): PreparedStatement | undefined {
    const statement = this.#bySql.get(sql)
    if (statement && this.#bySql.size > MAX_STATEMENTS / 2) {
      this.#bySql.delete(sql)
      this.#bySql.set(sql, statement)
    }
    return statement
  }

  add(sql: string, statement: PreparedStatement): void {
    this.#bySql.set(sql, statement)
  }

  /** Removes the least recently used statement if there are too many, and returns the name to close. */
  evict(): string | undefined {
    if (this.#bySql.size < MAX_STATEMENTS) return undefined
    for (const [sql, statement] of this.#bySql) {
      this.#bySql.delete(sql)
      return statement.name
    }
    return undefined
  }
}

export function statementName(sql: string): string {
  return `rh_${hash('sha1', sql, 'base64url')}`
}
