// What the package gives to programs that run on a server: the router in this process, the server itself, and what it takes to
// extend or embed either.

export { type Caller, type CallerInput, createCaller, errorShape } from './caller.ts'
export { type Config, ConfigError, loadConfig } from './config.ts'
export { Keyring, KeyringError, parseKeyring } from './crypto/keyring.ts'
export { openOlder, UnknownFormatError } from './crypto/older.ts'
export { type ConnectionTest, testConnection } from './db/connection-test.ts'
export { ambientDatabase } from './db/database.ts'
export {
  getConstraintName,
  getErrorDetail,
  isCheckViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isSerializationFailure,
  isUniqueViolation,
} from './db/errors.ts'
export { type NumberedPage, type Page, rowsOfPage, toNumberedPage, toPage } from './db/pagination.ts'
export { MissingScopeError, type StatementScope, withScope } from './db/scope.ts'
export { inTransaction } from './db/transactions.ts'
export {
  getAllTriggerNames,
  getTriggerMetadata,
  getTriggersForTable,
  type TriggerMetadata,
} from './db/triggers.ts'
export { AppError, REASONS, type Reason } from './errors.ts'
export { createLogger, type Logger } from './logger.ts'
export { processServices } from './process-services.ts'
export { type HeadersLike, headersOf, type RequestLike } from './request-headers.ts'
export { type AppRouter, appRouter } from './router.ts'
export { createServices, type Services } from './services.ts'
export { type RunningServer, startServer } from './start.ts'
