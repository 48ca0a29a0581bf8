import pg from 'pg'
import { SystemDatabase } from '#server/system/system.ts'
import { isPgbouncer } from './connection-url.ts'
import { CONNECT_TIMEOUT_MS, LoginPool, outliveBreaks } from './login-pool.ts'
import { poolConfig, toPgConfig } from './postgres-client.ts'

export interface LoginUrls {
  readonly api: string
  readonly public: string
  readonly auth: string
  readonly system: string
  /** The system login's direct URL, if known, for LISTEN. */
  readonly listen: string
}

/** The connections of a serving process: one pool per login, opened on first use. */
export interface Pools {
  readonly api: LoginPool
  /** The public login: content that everyone may read. */
  readonly public: LoginPool
  readonly system: SystemDatabase
  /** Better Auth's login. The library builds its own statements. */
  readonly auth: pg.Pool
  /** Open and idle connections by login, and callers waiting for one. */
  usage(): Record<'api' | 'public' | 'system' | 'auth', { total: number; idle: number; waiting: number }>
  /** Idempotent. */
  close(): Promise<void>
}

export interface PoolOptions {
  readonly maxConnections?: number
  /** Not called once the pools are being closed: connections then end on purpose. */
  readonly onIdleError?: (error: Error) => void
  /** Called after every statement of the api, public and system logins, without its values. */
  readonly onStatement?: ((sql: string, durationMs: number) => void) | undefined
}

/** Stored globally, so that reloading a module (Next.js in development) does not open the pools again. */
const REGISTRY = Symbol.for('rowhouse.pools')
const registry = globalThis as { [REGISTRY]?: Map<string, Pools> }

/** Opens the pools of these logins, or returns those that this process has already opened for them. */
export function openPools(urls: LoginUrls, { onIdleError, ...rest }: PoolOptions = {}): Pools {
  registry[REGISTRY] ??= new Map()
  const open = registry[REGISTRY]
  const key = JSON.stringify(urls)
  const existing = open.get(key)
  if (existing) return existing

  let closing: Promise<void> | undefined
  const options = {
    ...rest,
    onIdleError: (error: Error) => {
      if (!closing) onIdleError?.(error)
    },
  }
  const api = loginPool(urls.api, options)
  const publicPool = loginPool(urls.public, options)
  const system = loginPool(urls.system, { ...options, maxConnections: 4 })
  const auth = new pg.Pool({
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...poolConfig(urls.auth),
    max: options.maxConnections ?? 10,
    query_timeout: 10_000,
    idleTimeoutMillis: 30_000,
  })
  auth.on('error', options.onIdleError)
  auth.on('connect', outliveBreaks)

  const pools: Pools = {
    api,
    public: publicPool,
    system: new SystemDatabase(system),
    auth,
    usage: () => ({
      api: api.usage,
      public: publicPool.usage,
      system: system.usage,
      auth: { total: auth.totalCount, idle: auth.idleCount, waiting: auth.waitingCount },
    }),
    close() {
      open.delete(key)
      closing ??= Promise.all([api.end(), publicPool.end(), system.end(), auth.end()]).then(() => {})
      return closing
    },
  }
  open.set(key, pools)
  return pools
}

function loginPool(url: string, options: PoolOptions): LoginPool {
  return new LoginPool({ connection: toPgConfig(url), isNamed: !isPgbouncer(url), ...options })
}
