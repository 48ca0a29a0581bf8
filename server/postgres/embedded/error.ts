/** The embedded Postgres can't be started or used, and why. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError'
}
