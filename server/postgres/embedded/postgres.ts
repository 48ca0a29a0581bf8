import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureDataDirectory } from '#server/app/data-directory.ts'
import { testConnection } from '../connection-test.ts'
import { formatConnectionUrl, withDatabase } from '../connection-url.ts'
import { PostgresClient, toPgConfig } from '../postgres-client.ts'
import { settleOwnerSession } from '../session-settings.ts'
import { findLauncher, type Launcher } from './binaries.ts'
import {
  type ClusterConnection,
  type ClusterPaths,
  clusterPaths,
  initialiseCluster,
  prepareCluster,
  readConnection,
  SUPERUSER,
  writeConnection,
} from './cluster.ts'
import { EmbeddedPostgresError } from './error.ts'
import { stopLeftovers } from './leftovers.ts'
import { hasExited, launchServer, START_TIMEOUT_MS, stopServer, waitUntilReady } from './process.ts'
import { acquireLock, LockHeldError, lockHolder } from './process-lock.ts'

export interface EmbeddedPostgresOptions {
  /** Rowhouse's data directory; Postgres keeps its files in its subdirectory `postgres`. */
  dataDir: string
  /** Server settings, in the form of `postgres -c`. */
  settings?: Readonly<Record<string, string>>
  /** False skips all waits for the disk: for tests, whose data may be lost with the machine. */
  isDurable?: boolean
  log?: (line: string) => void
}

export interface EmbeddedPostgres {
  /** The superuser's URL of the database `rowhouse`. */
  readonly url: string
  readonly version: string
  /** The server's process id; null between a crash and the restart that follows it. */
  pid(): number | null
  /** Shuts the server down cleanly and releases the directory. Idempotent. */
  stop(): Promise<void>
}

const DATABASE = 'rowhouse'
const RESTARTS_PER_MINUTE = 5
const FAST_AND_LOSSY = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/**
 * Starts the Postgres of the npm package, and initialises its directory on first use. Cleans up after a
 * crash; throws if another process holds the directory, and names that process. Restarts a server that dies
 * until `stop()`. Installs no exit hook: the caller must stop it.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, isDurable = true, log = () => {} } = options
  const settings = { ...(isDurable ? {} : FAST_AND_LOSSY), ...options.settings }
  const { paths, release } = takeDirectory(dataDir)
  try {
    mkdirSync(paths.home, { recursive: true, mode: 0o711 })
    const launcher = findLauncher(paths.home)
    if (!existsSync(paths.data)) initialiseCluster(paths, launcher, isDurable)
    prepareCluster(paths, launcher)
    await stopLeftovers(paths.data, log)
    const { password, port } = readConnection(paths) ?? missingConnection(paths)
    const connection = { password, port: await findFreePort(port) }
    if (connection.port !== port) writeConnection(paths, connection)
    return await superviseServer({ paths, launcher, settings, connection, log, release })
  } catch (error) {
    release()
    if (error instanceof EmbeddedPostgresError) throw error
    throw new EmbeddedPostgresError(messageOf(error), { cause: error })
  }
}

/**
 * The URL of the embedded server that another process runs on this directory, once it answers; null if none
 * runs.
 */
export async function findRunningEmbeddedPostgres(dataDir: string): Promise<string | null> {
  const paths = clusterPaths(dataDir)
  const deadline = Date.now() + START_TIMEOUT_MS
  let reason = 'it has not been initialised yet'
  for (let holder = lockHolder(paths.lock); holder; holder = lockHolder(paths.lock)) {
    const connection = readConnection(paths)
    if (connection && connection.port > 0) {
      const url = urlOf(connection)
      const outcome = await testConnection(url)
      if (outcome.ok) return url
      reason = outcome.reason
    }
    if (Date.now() > deadline) {
      throw new EmbeddedPostgresError(
        `The embedded Postgres in ${paths.home}, run by process ${holder.pid}, does not answer: ${reason}.`,
      )
    }
    await sleep(50)
  }
  return null
}

function takeDirectory(dataDir: string): { paths: ClusterPaths; release: () => void } {
  try {
    ensureDataDirectory(dataDir)
    const paths = clusterPaths(dataDir)
    return { paths, release: acquireLock(paths.lock) }
  } catch (error) {
    const { home } = clusterPaths(dataDir)
    throw new EmbeddedPostgresError(
      error instanceof LockHeldError
        ? `The embedded Postgres in ${home} is in use by process ${error.holder.pid}. Stop that process, or set DATA_DIR to another directory.`
        : `The embedded Postgres can't use the directory ${home}: ${messageOf(error)}`,
      { cause: error },
    )
  }
}

interface Supervision {
  paths: ClusterPaths
  launcher: Launcher
  settings: Readonly<Record<string, string>>
  connection: ClusterConnection
  log: (line: string) => void
  release: () => void
}

async function superviseServer(options: Supervision): Promise<EmbeddedPostgres> {
  const { paths, launcher, connection, log, release } = options
  const settings = { ...options.settings, port: String(connection.port) }
  const url = urlOf(connection)
  const crashes: number[] = []
  let child: ChildProcess | null = null
  let isStopping = false
  let lastChange: Promise<void> = Promise.resolve()

  const launch = async (): Promise<void> => {
    const launched = launchServer({ paths, launcher, settings })
    child = launched
    try {
      await waitUntilReady(launched, withDatabase(url, 'postgres'), paths)
    } catch (error) {
      child = null
      await stopServer(launched)
      throw error
    }
    if (hasExited(launched)) onExit()
    else launched.once('exit', onExit)
  }

  const onExit = (): void => {
    child = null
    if (!isStopping) lastChange = relaunch('died')
  }

  const relaunch = async (reason: string): Promise<void> => {
    const minuteAgo = Date.now() - 60_000
    crashes.push(Date.now())
    if (crashes.filter(at => at > minuteAgo).length > RESTARTS_PER_MINUTE) {
      log(`the embedded Postgres ${reason} too often and is not restarted; see ${paths.log}`)
      return
    }
    log(`the embedded Postgres ${reason}; restarting it`)
    try {
      await stopLeftovers(paths.data, log)
      if (!isStopping) await launch()
    } catch (error) {
      log(messageOf(error))
      await sleep(1000)
      if (!isStopping) await relaunch('did not start')
    }
  }

  const stop = async (): Promise<void> => {
    await lastChange
    if (child) await stopServer(child)
    release()
  }

  let stopped: Promise<void> | undefined
  await launch()
  try {
    await ensureDatabase(url)
  } catch (error) {
    isStopping = true
    await stop()
    throw error
  }
  return {
    url,
    version: launcher.version,
    pid: () => child?.pid ?? null,
    stop() {
      isStopping = true
      stopped ??= stop()
      return stopped
    },
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new PostgresClient(toPgConfig(withDatabase(url, 'postgres')))
  client.on('error', () => {})
  await client.connect()
  try {
    await settleOwnerSession(client)
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE])
    if (rowCount === 0) await client.query(`create database ${DATABASE}`)
    await closeOtherDatabases(client)
  } finally {
    await client.end()
  }
}

/**
 * Revokes access to the databases that come with a cluster, where the serving logins could create tables of
 * their own.
 */
async function closeOtherDatabases(client: PostgresClient): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select datname::text as name from pg_database
     where datname in ('postgres', 'template1')
       and exists (select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0)`,
  )
  for (const { name } of rows) await client.query(`revoke all on database ${name} from public`)
}

async function findFreePort(preferred: number): Promise<number> {
  const tryPort = (wanted: number) =>
    new Promise<number | null>(done => {
      const server = createServer().once('error', () => done(null))
      server.listen(wanted, '127.0.0.1', () => {
        const address = server.address()
        server.close(() => done(typeof address === 'object' && address ? address.port : null))
      })
    })
  const port = (preferred > 0 ? await tryPort(preferred) : null) ?? (await tryPort(0))
  if (port === null)
    throw new EmbeddedPostgresError('No port on 127.0.0.1 is free for the embedded Postgres.')
  return port
}

function urlOf({ port, password }: ClusterConnection): string {
  return formatConnectionUrl({
    user: SUPERUSER,
    password,
    host: '127.0.0.1',
    port,
    otherHosts: [],
    database: DATABASE,
    params: new Map(),
  })
}

function missingConnection({ home, connection }: ClusterPaths): never {
  throw new EmbeddedPostgresError(
    `${connection}, which holds the password of the embedded Postgres, is missing. Restore it, or move ${home} away to start with an empty database.`,
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The last URL of the embedded server of this directory, running or not; null before its first start. */
export function lastKnownEmbeddedUrl(dataDir: string): string | null {
  const connection = readConnection(clusterPaths(dataDir))
  return connection && connection.port > 0 ? urlOf(connection) : null
}
