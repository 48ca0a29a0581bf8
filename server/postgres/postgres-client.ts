import pg from 'pg'
import { type ConnectionPlan, planConnection } from './connection-plan.ts'
import { Wire } from './wire.ts'

/** The options of a {@link PostgresClient}, and of a pool of them. */
export interface PostgresConfig extends pg.ClientConfig {
  readonly plan: ConnectionPlan
}

/**
 * Everything that a URL says about connecting. A plain `pg.Client` accepts it too, but connects only to the
 * first host, and without TLS unless the URL requires it. Throws ConnectionUrlError, also for unreadable
 * files.
 */
export function toPgConfig(url: string): PostgresConfig {
  const plan = planConnection(url)
  const [first] = plan.order()
  const { host, address, port } = first?.host ?? { host: '', address: null, port: 0 }
  const tls = first && !first.mayStayPlain ? first.tls : null
  return {
    plan,
    user: plan.user,
    database: plan.database,
    host: address ?? host,
    port,
    password: plan.password ?? undefined,
    ssl: tls ?? false,
    keepAlive: plan.keepAlive,
    keepAliveInitialDelayMillis: plan.keepAliveIdleMs,
    ...(plan.applicationName === null ? {} : { application_name: plan.applicationName }),
    ...(plan.options === null ? {} : { options: plan.options }),
    ...(plan.timeoutMs === null ? {} : { connectionTimeoutMillis: plan.timeoutMs * countHosts(plan) }),
  }
}

function countHosts(plan: ConnectionPlan): number {
  return new Set(plan.order().map(({ host }) => host)).size
}

/** The same options for a pool of {@link PostgresClient}s. */
export function poolConfig(url: string): pg.PoolConfig {
  return { ...toPgConfig(url), Client: PostgresClient as unknown as new () => pg.Client }
}

interface ClientInternals {
  readonly connectionParameters: Record<string, unknown>
}

/** A client of `pg` that connects as libpq does. */
export class PostgresClient extends pg.Client {
  readonly wire: Wire

  constructor(config: PostgresConfig) {
    const { plan, connectionTimeoutMillis = 0 } = config
    // A host that drops packets must leave time for the next one.
    const shareMs = connectionTimeoutMillis > 0 ? connectionTimeoutMillis / countHosts(plan) : Infinity
    const attemptMs = Math.min(plan.timeoutMs ?? Infinity, shareMs)
    const wire = new Wire(plan, attemptMs === Infinity ? null : attemptMs)
    const password = () => (wire.host && plan.passwordFor(wire.host)) ?? undefined
    super({
      ...config,
      ssl: false,
      password: config.password ?? (password as () => string),
      enableChannelBinding: plan.channelBinding !== 'disable',
      connection: wire,
    } as pg.ClientConfig)
    this.wire = wire
    // pg also reads libpq's variables by itself, even for the embedded server.
    const { connectionParameters } = this as unknown as ClientInternals
    const { application_name: name, options, replication } = { replication: undefined, ...config }
    Object.assign(connectionParameters, {
      application_name: name,
      options,
      replication,
      client_encoding: 'UTF8',
    })
  }
}
