import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

// Who may import what. A room's imports go one way, router -> queries -> db, and only server/db,
// server/postgres and server/system can reach a connection that is not bound to a caller.

const ROOT = resolve(import.meta.dirname, '../../..')

interface Import {
  readonly from: string
  /** A file of ours by its path from the root, else a package. */
  readonly to: string
  /** Erased by the compiler. */
  readonly isType: boolean
}

interface Source {
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

const IMPORT =
  /^(?:import|export)\s+(type\s)?([^'";]*?)\s*from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm

/** Everything that ships: not tests, what only tests use, nor generated types. */
const sources: Source[] = globSync(['server/**/*.{ts,tsx}', 'client/**/*.{ts,tsx}'], { cwd: ROOT })
  .filter(
    path => !/\.test(-d)?\.tsx?$|\.d\.ts$|^server\/testing\/|fixture|testing-|harness|conformance/.test(path),
  )
  .sort()
  .map(path => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    return { path, text, imports: importsOf(path, text) }
  })

function importsOf(path: string, text: string): Import[] {
  return [...text.matchAll(IMPORT)].map(([, type, names = '', from, bare, dynamic]) => {
    const specifiers =
      /^\{([\s\S]*)\}$/
        .exec(names.trim())?.[1]
        ?.split(',')
        .filter(name => name.trim() !== '') ?? []
    const isType =
      type !== undefined || (specifiers.length > 0 && specifiers.every(name => /^\s*type\s/.test(name)))
    return { from: path, to: resolveImport(path, from ?? bare ?? dynamic ?? ''), isType }
  })
}

function resolveImport(path: string, specifier: string): string {
  if (specifier.startsWith('.')) return relative(ROOT, resolve(ROOT, dirname(path), specifier))
  return specifier.startsWith('#') ? specifier.slice(1) : specifier
}

const rooms = sources.flatMap(({ path }) => /^server\/rooms\/([^/]+)\/router\.ts$/.exec(path)?.[1] ?? [])

function inRooms(...files: string[]): Source[] {
  return sources.filter(({ path }) => {
    const [, file] = /^server\/rooms\/[^/]+\/(.+)$/.exec(path) ?? []
    return file !== undefined && (files.length === 0 || files.includes(file))
  })
}

/** The imports of these sources that `isForbidden`, as `a -> b`. */
function imports(of: readonly Source[], isForbidden: (imported: Import) => boolean): string[] {
  return of.flatMap(source => source.imports.filter(isForbidden).map(({ from, to }) => `${from} -> ${to}`))
}

/** What a browser may have of the server. */
const SHARED =
  /^server\/(rpc\/(inputs|lifecycle|scopes)|db\/(values|rows|column-schemas)|rooms\/[^/]+\/(schema|state|file-types))\.ts$/

const isTrpc = ({ to }: Import) => to.startsWith('@trpc/') || to === 'server/rpc/trpc.ts'
const isRouter = ({ to }: Import) => /^server\/(.+\/)?router\.ts$/.test(to)
const DATABASE = /^server\/(db|postgres|system)\//
const isDatabase = ({ to }: Import) => DATABASE.test(to)

test('the rooms and their imports are found', () => {
  expect(rooms).toEqual(expect.arrayContaining(['account', 'settings', 'tasks']))
  expect(imports(sources, isDatabase).length).toBeGreaterThan(10)
  expect(imports(sources, isRouter)).toContain('server/rpc/router.ts -> server/rooms/tasks/router.ts')
})

describe('in a room', () => {
  test('only the router knows tRPC', () => {
    const others = inRooms().filter(({ path }) => !path.endsWith('/router.ts'))
    expect(imports(others, isTrpc)).toEqual([])
  })

  test('nobody imports a router, their own or another room’s', () => {
    expect(imports(inRooms(), isRouter)).toEqual([])
  })

  test('the router asks the database nothing by itself', () => {
    const isSql = (imported: Import) => imported.to === 'kysely' || (isDatabase(imported) && !imported.isType)
    expect(imports(inRooms('router.ts'), isSql)).toEqual([])
  })

  test('the schema needs zod and nothing else, so that a browser can have it', () => {
    const reached = new Set<string>()
    const follow = (path: string) => {
      if (reached.has(path)) return
      reached.add(path)
      const source = sources.find(candidate => candidate.path === path)
      for (const { to, isType } of source?.imports ?? []) if (!isType) follow(to)
    }
    for (const { path } of inRooms('schema.ts')) follow(path)
    expect([...reached].filter(path => path !== 'zod' && !SHARED.test(path))).toEqual([])
  })

  test('connections are out of reach: a database comes with its caller', () => {
    const isConnection = ({ to }: Import) =>
      to === 'pg' ||
      to.startsWith('pg/') ||
      to.startsWith('server/postgres/') ||
      /^server\/(db\/(pipeline|scoped-connection)|system\/system(-\w+)?)\.ts$/.test(to)
    expect(imports(inRooms(), isConnection)).toEqual([])
  })
})

const LISTENER = 'server/live/listener.ts'

describe('outside of server/db, server/postgres and server/system', () => {
  const outside = sources.filter(({ path }) => !DATABASE.test(path))

  function naming(pattern: RegExp, { except = [] }: { except?: string[] } = {}): string[] {
    return outside
      .filter(({ path, text }) => pattern.test(text) && !except.includes(path))
      .map(({ path }) => path)
  }

  test('nobody makes a connection or a pool, but to look at the catalog before serving, and to listen', () => {
    const except = ['server/start.ts', LISTENER]
    expect(naming(/\bnew (pg\.)?(Client|PostgresClient|Pool|LoginPool)\(/, { except })).toEqual([])
    expect(naming(/\bopenPools\b/)).toEqual(['server/app/services.ts'])
  })

  test('nobody takes a connection out of a pool', () => {
    expect(naming(/\bcheckOut\b/)).toEqual([])
    expect(naming(/pools\.(api|public|system|auth)\.(connect|query|pipeline)\b/)).toEqual([])
  })

  test('only Better Auth’s adapter makes a Kysely of its own', () => {
    expect(naming(/\bPostgresDialect\b|\bnew Kysely\b/)).toEqual(['server/auth/better-auth.ts'])
  })

  test('the listener sends nothing but what makes it listen', () => {
    const { text } = outside.find(({ path }) => path === LISTENER) ?? { text: '' }
    expect([...text.matchAll(/\.query\(([^)]*)\)/g)].map(([, sent]) => sent)).toEqual([
      expect.stringMatching(/^`listen \$\{CHANNEL\}`$/),
    ])
  })

  test('pg is known to Better Auth’s side, the start and the listener alone', () => {
    const isPg = ({ to, isType }: Import) =>
      (to === 'pg' || to.startsWith('pg/') || to === 'server/postgres/postgres-client.ts') && !isType
    const importers = new Set(imports(outside, isPg).map(found => found.split(' -> ')[0] ?? ''))
    expect(
      [...importers].filter(path => !path.startsWith('server/auth/') && path !== 'server/start.ts'),
    ).toEqual([LISTENER])
  })

  test('what everyone may read is read by procedures that need no credential', () => {
    expect(naming(/\bpublicDatabase\b/)).toEqual(['server/rpc/trpc.ts'])
  })

  // A claim is read under the lease that it made, a stream goes on reading under its caller's credential, and
  // an upload whose caller has left waits again.
  test('a scope is made by procedures, contexts, what runs after them, claims and streams', () => {
    expect(naming(/\bscopedDatabase\b/)).toEqual([
      'server/live/live.ts',
      'server/rooms/account/export.ts',
      'server/rooms/connections/call-context.ts',
      'server/rooms/connections/callback-route.ts',
      'server/rooms/media/uploads.ts',
      'server/rooms/tasks/leases.ts',
      'server/rpc/context.ts',
      'server/rpc/trpc.ts',
    ])
  })
})

/** A folder's code, and the folders and files of `server/` whose code it may use. */
const USES = {
  crypto: [],
  outgoing: [],
  db: ['postgres/', 'rpc/errors.ts'],
  postgres: ['db/', 'app/data-directory.ts', 'app/recurring-failure.ts', 'system/system.ts'],
  live: [
    'db/',
    'postgres/',
    'system/',
    'rpc/errors.ts',
    'rpc/transformer.ts',
    'rpc/trpc-error.ts',
    'app/recurring-failure.ts',
  ],
  rooms: [
    'db/',
    'crypto/',
    'outgoing/',
    'rpc/',
    'webhooks/',
    'app/config/reader.ts',
    'http/uploads.ts',
    'system/eraser.ts',
  ],
}

test.each(Object.entries(USES))('server/%s/ uses no code but what stands below it', (folder, used) => {
  const below = [`${folder}/`, ...used].map(path => `server/${path}`)
  const inside = sources.filter(({ path }) => path.startsWith(`server/${folder}/`))
  const isAbove = ({ to, isType }: Import) =>
    to.startsWith('server/') && !isType && !below.some(path => to.startsWith(path))
  expect(inside.length).toBeGreaterThan(0)
  expect(imports(inside, isAbove)).toEqual([])
})

test('the environment is read by the configuration alone', () => {
  const readers = sources.filter(({ text }) => /\bprocess\.env\b/.test(text)).map(({ path }) => path)
  // The file of variables completes the environment before it is read.
  expect(readers).toEqual(['server/app/config.ts', 'server/app/config/env-file.ts'])
})

test('the client has the server’s types and schemas, and no code of it', () => {
  const client = sources.filter(({ path }) => path.startsWith('client/'))
  const isCode = ({ to, isType }: Import) => to.startsWith('server/') && !isType && !SHARED.test(to)
  // client/next.ts runs on a server, where it calls the router in its own process.
  expect(imports(client, isCode).filter(found => !found.startsWith('client/next.ts'))).toEqual([])
})

test('no file imports itself by way of others', () => {
  const left = new Map(sources.map(source => [source.path, source.imports.filter(({ isType }) => !isType)]))
  const isFree = (path: string) => !left.get(path)?.some(({ to }) => left.has(to))
  for (let free = [...left.keys()].filter(isFree); free.length > 0; free = [...left.keys()].filter(isFree))
    for (const path of free) left.delete(path)
  // Those in a circle, and whoever imports one of them.
  expect([...left.keys()]).toEqual([])
})
