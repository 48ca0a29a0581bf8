// What the package gives to programs that run on a server: the router in this process, the server itself, and what it takes to
// extend or embed either.

export { type Config, ConfigError, loadConfig } from '#server/app/config.ts'
export { createLogger, type Logger } from '#server/app/logger.ts'
export { processServices } from '#server/app/process-services.ts'
export { createServices, type Services } from '#server/app/services.ts'
export { Keyring, KeyringError, parseKeyring } from '#server/crypto/keyring.ts'
export { openOlder, UnknownFormatError } from '#server/crypto/older.ts'
export { ambientDatabase } from '#server/db/database.ts'
export {
  getConstraintName,
  getErrorDetail,
  isCheckViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isSerializationFailure,
  isUniqueViolation,
} from '#server/db/errors.ts'
export { type NumberedPage, type Page, rowsOfPage, toNumberedPage, toPage } from '#server/db/pagination.ts'
export { MissingScopeError, type StatementScope, withScope } from '#server/db/scope.ts'
export { inTransaction } from '#server/db/transactions.ts'
export {
  getAllTriggerNames,
  getTriggerMetadata,
  getTriggersForTable,
  type TriggerMetadata,
} from '#server/db/triggers.ts'
export { type HeadersLike, headersOf, type RequestLike } from '#server/http/request-headers.ts'
export { type ConnectionTest, testConnection } from '#server/postgres/connection-test.ts'
export { type Caller, type CallerInput, createCaller, errorShape } from '#server/rpc/caller.ts'
export { AppError, REASONS, type Reason } from '#server/rpc/errors.ts'
export { type AppRouter, appRouter } from '#server/rpc/router.ts'
export { type RunningServer, startServer } from '#server/start.ts'
