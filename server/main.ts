import { ConfigError, loadConfig, loadEnvFile } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { startServer } from '#server/start.ts'

const STOP_DEADLINE_MS = 20_000
const PARENT_CHECK_MS = 500

let isStopping = false

const config = readConfig()
const log = createLogger({ level: config.logLevel })

const server = await startServer(config, log).catch(error => {
  log.fatal({ err: error }, `could not start: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
})
log.info(`listening on ${server.url}`)

// Supervisors repeat themselves; without a handler, the second signal would cut off the calls in flight.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal))
if (config.isRunByNpm) whenOrphaned(() => stop('the end of npm'))

function stop(reason: string): void {
  if (isStopping) {
    log.info({ reason }, 'still stopping')
    return
  }
  isStopping = true
  log.info({ reason }, 'stopping')
  setTimeout(() => {
    log.fatal('could not stop in time')
    process.exit(1)
  }, config.drainGraceMs + STOP_DEADLINE_MS).unref()
  server.stop().then(
    () => process.exit(0),
    error => {
      log.fatal({ err: error }, 'could not stop cleanly')
      process.exit(1)
    },
  )
}

/** npm passes a signal on to the shell that it runs us in, and the shell ends without us: the port would stay taken. */
function whenOrphaned(react: () => void): void {
  const parent = process.ppid
  const watching = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watching)
    react()
  }, PARENT_CHECK_MS).unref()
}

function readConfig() {
  try {
    loadEnvFile()
    return loadConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}
