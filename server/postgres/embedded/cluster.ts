import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { readDataFile } from '#server/app/data-directory.ts'
import type { Launcher } from './binaries.ts'
import { EmbeddedPostgresError } from './error.ts'

/** Where the embedded Postgres keeps what it owns, below Rowhouse's data directory. */
export interface ClusterPaths {
  readonly home: string
  readonly data: string
  readonly connection: string
  readonly lock: string
  readonly log: string
}

export interface ClusterConnection {
  /** 0 before the first start. */
  readonly port: number
  readonly password: string
}

export const SUPERUSER = 'postgres'

export function clusterPaths(dataDir: string): ClusterPaths {
  const root = existsSync(dataDir) ? realpathSync(dataDir) : resolve(dataDir)
  const home = join(root, 'postgres')
  return {
    home,
    data: join(home, 'data'),
    connection: join(home, 'connection.json'),
    lock: join(root, 'postgres.lock'),
    log: join(root, 'postgres.log'),
  }
}

/**
 * Makes a cluster aside and moves it into place whole, so that an interrupted start leaves nothing half made.
 */
export function initialiseCluster(paths: ClusterPaths, launcher: Launcher, isDurable: boolean): void {
  const draft = join(paths.home, 'data.new')
  const passwordFile = join(paths.home, 'password.new')
  const password = randomBytes(24).toString('base64url')
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { mode: 0o700 })
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (launcher.runAs) {
    for (const path of [draft, passwordFile]) chownSync(path, launcher.runAs.uid, launcher.runAs.gid)
  }
  const { file, args, options } = launcher.command('initdb', [
    `--pgdata=${draft}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Postgres's own C.UTF-8: the same order on every machine, whatever locales it has.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // What counts as a letter for full-text search is still the C library's to say, and its C knows ASCII
    // only.
    ...(process.platform === 'linux' ? ['--lc-ctype=C.UTF-8'] : []),
    '--no-instructions',
    ...(isDurable ? [] : ['--no-sync']),
  ])
  const { status, stderr, error } = spawnSync(file, args, { ...options, encoding: 'utf8' })
  rmSync(passwordFile, { force: true })
  if (status !== 0) {
    throw new EmbeddedPostgresError(
      `Postgres could not be initialised in ${paths.home}: ${error?.message ?? stderr.trim()}`,
    )
  }
  writeConnection(paths, { port: 0, password })
  renameSync(draft, paths.data)
}

/**
 * Makes sure that Postgres will accept the cluster: written by its version and owned by the user that it runs
 * as. Files that root restored from a backup are given to that user.
 */
export function prepareCluster({ data }: ClusterPaths, { runAs, version }: Launcher): void {
  const { uid } = statSync(data)
  const ownUid = runAs?.uid ?? process.getuid?.()
  if (uid !== ownUid) {
    if (!runAs) {
      throw new EmbeddedPostgresError(
        `${data} belongs to user ${uid}, and this process runs as user ${ownUid}. Run it as user ${uid}, or set DATA_DIR to another directory.`,
      )
    }
    spawnSync('chown', ['-R', `${runAs.uid}:${runAs.gid}`, data])
  }
  chmodSync(data, 0o700)
  const versionFile = join(data, 'PG_VERSION')
  const major = existsSync(versionFile) ? readDataFile(versionFile).trim() : ''
  if (!/^\d+$/.test(major)) {
    throw new EmbeddedPostgresError(
      `${versionFile}, which holds the version of the Postgres that wrote ${data}, is ${existsSync(versionFile) ? 'empty or foreign' : 'missing'}. ` +
        'Restore the whole directory from a backup, or move it away to start afresh.',
    )
  }
  if (major !== version.split('.')[0]) {
    throw new EmbeddedPostgresError(
      `${data} was written by Postgres ${major}, and the embedded one is ${version}. Dump it with the Rowhouse that wrote it and restore it here.`,
    )
  }
}

const connectionSchema = z.object({ port: z.int().min(0).max(65_535), password: z.string().min(1) })

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function readConnection({ connection, home }: ClusterPaths): ClusterConnection | null {
  if (!existsSync(connection)) return null
  const parsed = connectionSchema.safeParse(parseJson(readDataFile(connection)))
  if (parsed.success) return parsed.data
  throw new EmbeddedPostgresError(
    `${connection} does not hold the port and the password of the embedded Postgres. Restore it from a backup, or move ${home} ` +
      'away to start afresh, without what is in the database.',
  )
}

export function writeConnection({ connection }: ClusterPaths, value: ClusterConnection): void {
  writeFileSync(`${connection}.new`, JSON.stringify(value), { mode: 0o600, flush: true })
  renameSync(`${connection}.new`, connection)
}
