import { ConfigError, loadConfig, loadEnvFile } from './config.ts'
import { createLogger } from './logger.ts'
import { startServer } from './start.ts'

const STOP_DEADLINE_MS = 20_000

loadEnvFile()
const config = readConfig()
const log = createLogger({ level: config.logLevel })

const server = await startServer(config, log).catch(error => {
  log.fatal({ err: error }, `could not start: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
})
log.info(`listening on ${server.url}`)

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.fatal('could not stop in time')
      process.exit(1)
    }, STOP_DEADLINE_MS).unref()
    server.stop().then(
      () => process.exit(0),
      error => {
        log.fatal({ err: error }, 'could not stop cleanly')
        process.exit(1)
      },
    )
  })
}

function readConfig() {
  try {
    return loadConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}
