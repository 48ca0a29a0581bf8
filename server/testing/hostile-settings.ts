// Settings that change the meaning of statements, or end them.

/** Settings that an operator, or an older program on the same server, could have made. */
export const HOSTILE: Readonly<Record<string, string>> = {
  DateStyle: 'German',
  IntervalStyle: 'sql_standard',
  TimeZone: 'Asia/Kathmandu',
  bytea_output: 'escape',
  extra_float_digits: '-5',
  xmloption: 'document',
  xmlbinary: 'hex',
  standard_conforming_strings: 'off',
  escape_string_warning: 'off',
  backslash_quote: 'off',
  array_nulls: 'off',
  transform_null_equals: 'on',
  quote_all_identifiers: 'on',
  gin_fuzzy_search_limit: '1',
  row_security: 'off',
  default_transaction_read_only: 'on',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  session_replication_role: 'replica',
  synchronous_commit: 'off',
  default_text_search_config: 'pg_catalog.german',
  search_path: 'public',
  client_encoding: 'LATIN1',
  check_function_bodies: 'off',
  plan_cache_mode: 'force_custom_plan',
  jit: 'on',
  jit_above_cost: '0',
  enable_indexscan: 'off',
  enable_bitmapscan: 'off',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_nestloop: 'off',
  enable_sort: 'off',
}

/** Ends all statements early, so that only a session that resets these settings can work. */
export const IMPATIENT: Readonly<Record<string, string>> = {
  // Short, but longer than the statement that resets it takes on a busy machine.
  statement_timeout: '250',
  lock_timeout: '250',
  idle_in_transaction_session_timeout: '1',
}
