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

/** The paths of the embedded Postgres, in Rowhouse's data directory. */
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
 * Creates a cluster in a temporary directory and renames it, so that an interrupted start leaves no partial
 * cluster.
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
    // Postgres's built-in C.UTF-8 gives the same order on every machine, whatever its locales.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // Full-text search still asks the C library what a letter is, and its C locale knows only ASCII.
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
 * Checks that Postgres will accept the cluster: written by its version and owned by its user. Changes the
 * owner of files that root restored from a backup.
 */
export function prepareCluster({ data }: ClusterPaths, { runAs, version }: Launcher): void {
  const { uid } = statSync(data)
  const ownUid = runAs?.uid ?? process.getuid?.()
  if (uid !== ownUid) {
    if (!runAs) {
      throw new EmbeddedPostgresError(
        `${data} belongs to user ${uid}, but this process runs as user ${ownUid}. Run it as user ${uid}, or set DATA_DIR to another directory.`,
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
        'Restore the whole directory from a backup, or move it away to start with an empty database.',
    )
  }
  if (major !== version.split('.')[0]) {
    throw new EmbeddedPostgresError(
      `${data} was written by Postgres ${major}, but the embedded one is ${version}. Dump it with the Rowhouse that wrote it, and restore the dump here.`,
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
    `${connection} does not contain the port and the password of the embedded Postgres. Restore it from a backup, or move ${home} ` +
      'away to start with an empty database.',
  )
}

export function writeConnection({ connection }: ClusterPaths, value: ClusterConnection): void {
  writeFileSync(`${connection}.new`, JSON.stringify(value), { mode: 0o600, flush: true })
  renameSync(`${connection}.new`, connection)
}
