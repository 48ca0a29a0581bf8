/**
 * Statements that leave nothing behind on a connection. Everything else, `set` and `prepare` included, is
 * refused unsent.
 */
const HARMLESS = /^[\s(]*(select|insert|update|delete|merge|with|values)\b/i

/**
 * What a query can hide that outlives its transaction or reaches other sessions. Values travel apart from the
 * text, so nothing that a user writes is refused.
 */
const LASTING = new RegExp(
  [
    // Settings and the seed of the session; `set_limit` is pg_trgm's.
    '\\b(set_config|pg_settings|setseed|set_limit)\\b',
    // Large objects.
    '\\b(lo_\\w+|lowrite)\\b',
    // Locks of the session.
    '\\bpg_(try_)?advisory_(un)?lock',
    // Other sessions.
    '\\bpg_(cancel_backend|terminate_backend|notify)\\b',
    // Functions that run text as SQL, which could spell any of these.
    '_to_xml',
    '\\b(ts_stat|ts_rewrite|dblink\\w*|crosstab\\w*|connectby|xpath_table)\\b',
    // Escapes in identifiers, which could as well.
    'u&["\']',
  ].join('|'),
  'i',
)

/**
 * Thrown for a statement that is neither a query nor a change of rows, or that would outlive its transaction.
 */
class ForbiddenStatementError extends Error {
  constructor() {
    super(
      'only select, insert, update, delete, merge and with run under a scope, and nothing that outlives its transaction',
    )
    this.name = 'ForbiddenStatementError'
  }
}

const MAX_CHECKED = 1_000
const checked = new Set<string>()

/** Throws {@link ForbiddenStatementError}. Reads a text once. */
export function checkStatement(text: string): void {
  if (checked.has(text)) return
  if (!HARMLESS.test(text) || LASTING.test(text)) throw new ForbiddenStatementError()
  if (checked.size >= MAX_CHECKED) checked.clear()
  checked.add(text)
}
