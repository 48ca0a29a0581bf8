import { findFunctionProblems } from './isolation/functions.ts'
import { findGrantProblems } from './isolation/grants.ts'
import { findKeyProblems } from './isolation/keys.ts'
import { findPolicyProblems } from './isolation/policies.ts'
import type { CatalogReader, IsolationProblem } from './isolation/problem.ts'
import { findRoleProblems } from './isolation/roles.ts'

export type { CatalogReader, IsolationProblem } from './isolation/problem.ts'

/** The database would show one user's rows to another. The message names every object and what mends it. */
export class IsolationError extends Error {
  override readonly name = 'IsolationError'
  readonly problems: readonly IsolationProblem[]

  constructor(problems: readonly IsolationProblem[]) {
    const lines = problems.map(
      ({ object, problem, command }) => `- ${object} ${problem}\n  mend it with: ${command}`,
    )
    super(`the database does not keep its users apart:\n${lines.join('\n')}`)
    this.problems = problems
  }
}

/**
 * Looks for what would let a serving login see or change more than its caller may. Reads the system catalog and nothing else,
 * so that any login can run it; an empty answer says that row-level security stands between users, not that policies are right.
 */
export async function findIsolationProblems(reader: CatalogReader): Promise<IsolationProblem[]> {
  const problems: IsolationProblem[] = []
  // One after the other: they share a connection.
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

/** What an operator should know about this server. Nothing here keeps us from serving. */
export async function describeServerWarnings(reader: CatalogReader): Promise<string[]> {
  const { rows } = await reader.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  return warningsAbout(rows[0]?.version ?? 0)
}

/** The same for a `server_version_num` such as 180004. */
export function warningsAbout(version: number): string[] {
  const major = Math.floor(version / 10_000)
  const minor = version % 10_000
  const fixed = FIXED_RELEASES[major]
  if (fixed === undefined || minor >= fixed) return []
  return [
    `PostgreSQL ${major}.${minor} has CVE-2026-120154: "on conflict do update … where" reads rows that row-level security hides. ` +
      `No statement of ours has that form; upgrade to ${major}.${fixed} before you add SQL of your own.`,
  ]
}
