import { lastKnownEmbeddedUrl } from '#server/postgres/embedded/postgres.ts'
import { loginUrls } from '#server/postgres/logins.ts'
import { type Config, loadConfig, loadEnvFile } from './config.ts'
import { createLogger } from './logger.ts'
import { createServices, type Services } from './services.ts'

const REGISTRY = Symbol.for('rowhouse.services')
const registry = globalThis as { [REGISTRY]?: Services }

/**
 * The services of this process, made from the environment when first asked for and kept across hot reloads. For code that runs
 * beside a Rowhouse server, such as Next.js; it starts no database and migrates nothing. Whether its keys are the right ones is
 * looked at before it seals its first value.
 */
export function processServices(): Services {
  registry[REGISTRY] ??= open()
  return registry[REGISTRY]
}

function open(): Services {
  loadEnvFile()
  const config = loadConfig()
  const urls = loginUrls({
    baseUrl: databaseUrl(config),
    directUrl: config.database.kind === 'external' ? config.database.directUrl : null,
    authSecret: config.authSecret,
    overrides: config.loginUrls,
  })
  return createServices(config, urls, createLogger({ level: config.logLevel }))
}

function databaseUrl(config: Config): string | null {
  if (config.database.kind === 'external') return config.database.url
  const url = lastKnownEmbeddedUrl(config.dataDir)
  if (url) return url
  throw new Error(`no database runs in ${config.dataDir}: start the server there first, or set DATABASE_URL`)
}
