/** Executes one of the functions that the login behind {@link SystemDatabase} may, and returns its rows. */
export type SystemCall = (sql: string, values: readonly unknown[]) => Promise<Record<string, unknown>[]>
