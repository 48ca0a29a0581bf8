import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ErasureCounts } from '#server/system/eraser.ts'

const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What one connection pool reports when it is asked. */
export interface PoolCounts {
  total: number
  idle: number
  waiting: number
}

export interface MetricsOptions {
  /** Calls being worked on. */
  inFlight: () => number
  /** Open subscriptions. */
  streams: () => number
  /** Pools by role, read at every scrape. */
  pools?: () => Record<string, PoolCounts>
  /** How far removals are, read at every scrape. */
  erasures?: () => ErasureCounts
}

export interface Metrics {
  /** Counts a call's end. `path` must come from the router or be one of a fixed few: every value is kept forever. */
  countCall: (path: string, status: number, durationMs: number) => void
  /** Counts a call that was refused because of load. */
  countShed: () => void
  /** Counts a stream that was cut because its reader did not read. */
  countDropped: () => void
  registry: Registry
}

interface Bound {
  inc: () => void
  observe: (seconds: number) => void
}

export function createMetrics({ inFlight, streams, pools, erasures }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const calls = new Counter({
    name: 'rowhouse_calls_total',
    help: 'Calls answered, by procedure or route and HTTP status.',
    labelNames: ['path', 'status'],
    registers,
  })
  const durations = new Histogram({
    name: 'rowhouse_call_duration_seconds',
    help: 'Time from a call’s arrival to its answer.',
    labelNames: ['path'],
    buckets: SECONDS_BUCKETS,
    registers,
  })
  const shed = new Counter({
    name: 'rowhouse_calls_shed_total',
    help: 'Calls refused because the server was past its capacity.',
    registers,
  })
  const dropped = new Counter({
    name: 'rowhouse_streams_dropped_total',
    help: 'Subscriptions that were cut because their reader did not read.',
    registers,
  })
  gauge(registers, 'rowhouse_calls_in_flight', 'Calls being worked on.', inFlight)
  gauge(registers, 'rowhouse_streams_open', 'Subscriptions being served.', streams)
  if (pools) poolGauge(registers, pools)
  if (erasures) erasureMetrics(registers, erasures)

  const bound = new Map<string, Map<number, Bound>>()
  return {
    registry,
    countShed: () => shed.inc(),
    countDropped: () => dropped.inc(),
    countCall(path, status, durationMs) {
      let statuses = bound.get(path)
      if (!statuses) {
        statuses = new Map()
        bound.set(path, statuses)
      }
      let child = statuses.get(status)
      if (!child) {
        const counter = calls.labels(path, String(status))
        const histogram = durations.labels(path)
        child = { inc: () => counter.inc(), observe: seconds => histogram.observe(seconds) }
        statuses.set(status, child)
      }
      child.inc()
      child.observe(durationMs / 1000)
    },
  }
}

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read())
    },
  })
}

function poolGauge(registers: Registry[], pools: () => Record<string, PoolCounts>): void {
  new Gauge({
    name: 'rowhouse_pool_connections',
    help: 'Database connections by login and state; `waiting` counts calls that wait for one.',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, counts] of Object.entries(pools())) {
        this.set({ pool, state: 'total' }, counts.total)
        this.set({ pool, state: 'idle' }, counts.idle)
        this.set({ pool, state: 'waiting' }, counts.waiting)
      }
    },
  })
}

function erasureMetrics(registers: Registry[], erasures: () => ErasureCounts): void {
  gauge(
    registers,
    'rowhouse_erasures_open',
    'Removals whose rows are not all deleted yet.',
    () => erasures().open,
  )
  counter(
    registers,
    'rowhouse_erasures_finished_total',
    'Removals finished by this process.',
    () => erasures().finished,
  )
  counter(
    registers,
    'rowhouse_erasures_rows_total',
    'Rows of removals deleted by this process.',
    () => erasures().rows,
  )
  counter(
    registers,
    'rowhouse_erasures_failures_total',
    'Batches that failed in this process.',
    () => erasures().failures,
  )
}

/** A counter whose value is kept elsewhere. */
function counter(registers: Registry[], name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers,
    collect() {
      this.reset()
      this.inc(read())
    },
  })
}
