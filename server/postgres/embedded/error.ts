/** The embedded Postgres can't be started or used; the message says why. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError'
}
