import pg from 'pg'
import { buildApp } from '#server/app/app.ts'
import type { Config } from '#server/app/config.ts'
import type { Logger } from '#server/app/logger.ts'
import { type Loop, repeatEvery } from '#server/app/repeat-every.ts'
import { createServices, type Services } from '#server/app/services.ts'
import { readKeyringChecks, refuseWrongKeys } from '#server/crypto/check.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { explainConnectionError } from '#server/postgres/connection-test.ts'
import { openDatabaseServer } from '#server/postgres/database-server.ts'
import { assertIsolated, describeServerWarnings } from '#server/postgres/isolation.ts'
import type { Login } from '#server/postgres/login-names.ts'
import { checkLoginSettings } from '#server/postgres/login-settings.ts'
import { checkLogins, type EnsureLoginsOptions, ensureLogins, loginUrls } from '#server/postgres/logins.ts'
import { connectOwner } from '#server/postgres/migrations/connect.ts'
import {
  type ExpectedMigration,
  expectedMigrations,
  migrateToLatest,
  readAppliedMigrations,
  schemaProblem,
} from '#server/postgres/migrations/runner.ts'
import type { LoginUrls } from '#server/postgres/pools.ts'
import { PostgresClient, toPgConfig } from '#server/postgres/postgres-client.ts'
import { checkReadiness } from '#server/postgres/readiness.ts'
import { registerExportRoute } from '#server/rooms/account/export-route.ts'
import { expireApprovals } from '#server/rooms/approvals/streams.ts'
import { registerCallbackRoute } from '#server/rooms/connections/callback-route.ts'
import { serveMedia } from '#server/rooms/media/serve.ts'
import { announceTask } from '#server/rooms/tasks/streams.ts'
import { contextFactory } from '#server/rpc/context.ts'
import { appRouter } from '#server/rpc/router.ts'
import { createEraser } from '#server/system/eraser.ts'
import { createSweeper } from '#server/system/sweep.ts'
import { serveWebhooks } from '#server/webhooks/serve.ts'

export interface RunningServer {
  readonly url: string
  /** Lets calls in flight finish, then ends connections and the embedded database. Safe to call twice. */
  stop(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000
// How late a lapsed lease's messages fail, and a task past its maximum duration ends.
const LEASE_SWEEP_INTERVAL_MS = 2_000

/**
 * Starts everything: the database where it is embedded, migrations where they are wanted, and the HTTP server. Refuses, naming
 * the object and the command that mends it, when the schema is not at this version, a serving login could see too much, or the
 * keys are not the ones that the database's secrets were sealed with.
 */
export async function startServer(config: Config, log: Logger): Promise<RunningServer> {
  const database = await openDatabaseServer(config, { log: line => log.info(line) })
  try {
    const { ownerUrl } = database
    if (ownerUrl && config.migrateOnStart) {
      // Nobody else serves from a server that was started here.
      const logins = { overrides: config.loginUrls, mayReplace: database.isStartedHere }
      await checkBeforeMigrating(ownerUrl, config, logins)
      const { applied } = await migrateToLatest({ url: ownerUrl, log: line => log.info(line) })
      if (applied.length > 0) log.info({ applied }, 'migrated')
      await ensureLogins(ownerUrl, config.authSecret, logins)
    }
    const urls = loginUrls({
      baseUrl: database.url,
      directUrl: database.ownerUrl,
      authSecret: config.authSecret,
      overrides: config.loginUrls,
    })
    const expected = await expectedMigrations()
    await checkDatabase(urls, { expected, log })
    const services = createServices(config, urls, log)
    await services.sealingKeyring().catch(async error => {
      await services.close()
      throw error
    })

    const eraser = createEraser(services)
    const app = buildApp({
      config,
      log,
      router: appRouter,
      createContext: contextFactory(services),
      announceMs: config.drainGraceMs,
      auth: services.auth,
      services,
      erasures: eraser.counts,
      readiness: () => checkReadiness(services.pools.api, expected),
    })
    registerExportRoute(app.fastify, services)
    registerCallbackRoute(app.fastify, services)
    serveMedia(app.fastify, services)
    const events = serveWebhooks(app.fastify, config, services)
    const url = await app.listen()
    const loops = [events, eraser, createLeaseSweeper(services), createSweeper(services)]
    for (const loop of loops) loop.wake()

    let stopping: Promise<void> | undefined
    const stop = async () => {
      await app.drain()
      await Promise.all(loops.map(loop => loop.stop()))
      await services.close()
      await database.close()
    }
    return { url, stop: () => (stopping ??= stop()) }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Ends leases and approvals that have lapsed, and announces it to their readers. */
function createLeaseSweeper({ pools, live, log }: Services): Loop {
  const failureMessage = 'sweeping leases and approvals failed'
  return repeatEvery({ intervalMs: LEASE_SWEEP_INTERVAL_MS, log, failureMessage }, async stopping => {
    let swept: { taskId: string }[]
    do {
      swept = await pools.system.sweepLeases()
      for (const { taskId } of swept) announceTask(live, { id: taskId })
    } while (swept.length > 0 && !stopping.aborted)
    await expireApprovals({ pools, live })
    return undefined
  })
}

/** Throws what would keep this process from serving, before it changes a schema or passwords that others may serve with. */
async function checkBeforeMigrating(
  ownerUrl: string,
  { authSecret, encryptionKeys }: Config,
  logins: EnsureLoginsOptions,
): Promise<void> {
  const owner = await connectOwner(ownerUrl, 'rowhouse')
  try {
    refuseWrongKeys(parseKeyring(encryptionKeys), await readKeyringChecks(owner))
  } finally {
    await owner.end()
  }
  if (!logins.mayReplace) await checkLogins(ownerUrl, authSecret, logins)
}

/** Asks as the logins themselves, which see the catalog and no owner's secret. */
async function checkDatabase(
  urls: LoginUrls,
  { expected, log }: { expected: ExpectedMigration[]; log: Logger },
): Promise<void> {
  const checkSettings = async (client: pg.Client, login: Login) => {
    for (const warning of await checkLoginSettings(client, login)) log.warn(warning)
  }
  await Promise.all([
    asLogin(urls.public, 'rowhouse_public', checkSettings),
    asLogin(urls.auth, 'rowhouse_auth', checkSettings),
    asLogin(urls.system, 'rowhouse_system', checkSettings),
    asLogin(urls.api, 'rowhouse_api', async (client, login) => {
      await checkSettings(client, login)
      const problem = schemaProblem(await readAppliedMigrations(client), expected)
      if (problem) throw new Error(problem)
      await assertIsolated(client)
      for (const warning of await describeServerWarnings(client)) log.warn(warning)
    }),
  ])
}

/** Connects as a login; throws where its URL names somebody else, whose rights nobody has checked. */
async function asLogin(
  url: string,
  login: Login,
  work: (client: pg.Client, login: Login) => Promise<void>,
): Promise<void> {
  const client = new PostgresClient({ ...toPgConfig(url), connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  // A break fails the query that waits; and when another login's check fails first, the database may be gone already.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    const reason = explainConnectionError(error, url, CONNECT_TIMEOUT_MS)
    // A pooler refuses a login in an error class of its own.
    const isRefused = error instanceof pg.DatabaseError && /^(28|08)/.test(error.code ?? '')
    const hint = isRefused
      ? '; if its password is not the one that derives from AUTH_SECRET, run npx kysely-migrate up --latest, which says more'
      : ''
    throw new Error(`${login} can't log in: ${reason}${hint}`, { cause: error })
  }
  try {
    const { rows } = await client.query<{ name: string }>('select current_user as name')
    const name = rows[0]?.name
    if (name !== login) {
      throw new Error(
        `this process would serve as ${name} where it must be ${login}: name ${login} in the login's URL`,
      )
    }
    await work(client, login)
  } finally {
    await client.end()
  }
}
