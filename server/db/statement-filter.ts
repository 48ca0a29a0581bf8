/**
 * Statements that leave no state on a connection. All others, `set` and `prepare` included, are refused
 * before they are sent.
 */
const HARMLESS = /^[\s(]*(select|insert|update|delete|merge|with|values)\b/i

/**
 * Parts of a query that could outlive its transaction or reach other sessions. Values are sent apart from the
 * text, so nothing that a user writes is refused.
 */
const LASTING = new RegExp(
  [
    // Settings and the random seed of the session; `set_limit` is pg_trgm's.
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
    // Escapes in identifiers, which could also spell any of these.
    'u&["\']',
  ].join('|'),
  'i',
)

/**
 * Thrown for a statement that is neither a query nor a change of rows, or that could outlive its transaction.
 */
class ForbiddenStatementError extends Error {
  constructor() {
    super(
      'a scope allows only select, insert, update, delete, merge and with, and nothing that outlives its transaction',
    )
    this.name = 'ForbiddenStatementError'
  }
}

const MAX_CHECKED = 1_000
const checked = new Set<string>()

/** Throws {@link ForbiddenStatementError}. Checks each text once. */
export function checkStatement(text: string): void {
  if (checked.has(text)) return
  if (!HARMLESS.test(text) || LASTING.test(text)) throw new ForbiddenStatementError()
  if (checked.size >= MAX_CHECKED) checked.clear()
  checked.add(text)
}
