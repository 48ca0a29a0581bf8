import { findFunctionProblems } from './isolation/functions.ts'
import { findGrantProblems } from './isolation/grants.ts'
import { findKeyProblems } from './isolation/keys.ts'
import { findPolicyProblems } from './isolation/policies.ts'
import type { CatalogReader, IsolationProblem } from './isolation/problem.ts'
import { findRoleProblems } from './isolation/roles.ts'

export type { CatalogReader, IsolationProblem } from './isolation/problem.ts'

/**
 * The database would show one user's rows to another. The message names every object and the command that
 * repairs it.
 */
export class IsolationError extends Error {
  override readonly name = 'IsolationError'
  readonly problems: readonly IsolationProblem[]

  constructor(problems: readonly IsolationProblem[]) {
    const lines = problems.map(
      ({ object, problem, command }) => `- ${object} ${problem}\n  repair it with: ${command}`,
    )
    super(`the database does not isolate its users:\n${lines.join('\n')}`)
    this.problems = problems
  }
}

/**
 * Finds objects that would let a serving login see or change more than its caller may. Reads only the system
 * catalog, so any login can run it. An empty result means that row-level security is in force, not that the
 * policies are right.
 */
export async function findIsolationProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const problems: IsolationProblem[] = []
  // One after the other, since they share a connection.
  problems.push(...(await findRoleProblems(reader)))
  problems.push(...(await findGrantProblems(reader)))
  problems.push(...(await findPolicyProblems(reader)))
  problems.push(...(await findFunctionProblems(reader)))
  problems.push(...(await findKeyProblems(reader)))
  return problems
}

/** Throws {@link IsolationError} unless {@link findIsolationProblems} finds nothing. */
export async function assertIsolated(reader: CatalogReader): Promise<void> {
  const problems = await findIsolationProblems(reader)
  if (problems.length > 0) throw new IsolationError(problems)
}

/** The first minor release of each major that evaluates a policy before the `where` of an upsert. */
const FIXED_RELEASES: Readonly<Record<number, number>> = { 15: 20, 16: 16, 17: 12, 18: 7 }

interface ServerFacts {
  /** A `server_version_num` such as 180004. */
  readonly version: number
  readonly database: string
  readonly encoding: string
  /** The locale that decides what a letter is for the parser of full-text search. */
  readonly ctype: string
  /** Whether letters outside ASCII have a lower case in this locale. */
  readonly foldsCase: boolean
}

/** Warnings for the operator about this server and database; none prevents serving. */
export async function describeServerWarnings(reader: CatalogReader): Promise<string[]> {
  const { rows } = await reader.query<ServerFacts>(
    `select
       current_setting('server_version_num')::int as version,
       datname as database,
       pg_encoding_to_char(encoding) as encoding,
       datctype as ctype,
       lower(letter) <> letter as "foldsCase"
     from pg_database, chr(case encoding when pg_char_to_encoding('UTF8') then 196 else 65 end) letter
     where datname = current_database()`,
  )
  return rows.flatMap(warningsAbout)
}

export function warningsAbout({ version, ...database }: ServerFacts): string[] {
  return [...releaseWarnings(version), ...localeWarnings(database)]
}

function releaseWarnings(version: number): string[] {
  const major = Math.floor(version / 10_000)
  const minor = version % 10_000
  const fixed = FIXED_RELEASES[major]
  if (fixed === undefined || minor >= fixed) return []
  return [
    `PostgreSQL ${major}.${minor} has CVE-2026-120154: "on conflict do update … where" reads rows that row-level security hides. ` +
      `No statement of Rowhouse has that form; upgrade to ${major}.${fixed} before you add your own SQL.`,
  ]
}

function localeWarnings({ database, encoding, ctype, foldsCase }: Omit<ServerFacts, 'version'>): string[] {
  if (encoding !== 'UTF8') {
    return [`database "${database}" has the encoding ${encoding}: text outside it is refused. ${RECREATE}`]
  }
  const isAsciiOnly = /^(C|POSIX)$/i.test(ctype)
  if (foldsCase && !isAsciiOnly) return []
  const effect = foldsCase
    ? 'your own full-text search with to_tsvector treats every character outside ASCII as a letter'
    : 'search does not find "école" for "École"'
  return [
    `database "${database}" has LC_CTYPE ${ctype}, which knows ASCII letters only: ${effect}. ${RECREATE}`,
  ]
}

const RECREATE =
  'Locale and encoding are fixed when a database is created: dump it with pg_dump, create a new one with ' +
  "create database … template template0 encoding 'UTF8' lc_ctype 'C.UTF-8', and restore the dump there."
