import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createBenchLogins } from './bench-logins.ts'
import { type BenchCluster, startCluster } from './databases.ts'
import { type Dataset, describeDataset } from './dataset.ts'
import { measure, type Subject } from './measure.ts'
import type { Operation } from './operations.ts'
import { flatnessTable, memoryLine, toJson, toTable } from './report.ts'
import { type BenchServer, startRowhouse, startVariant, type Variant } from './servers.ts'

export interface BenchOptions {
  readonly dataset: Dataset
  /**
   * A smaller dataset that our server also runs on, to show whether it slows down as other users' rows
   * increase.
   */
  readonly comparison: Dataset | null
  readonly isJson: boolean
  readonly durationMs: number
  readonly warmUpMs: number
  readonly connections: number
  readonly variants: readonly Variant[]
  readonly operations: readonly Operation[]
  readonly profileDir: string | undefined
  readonly signal: AbortSignal
}

/** How long to wait after a server's start before its memory is measured as idle. */
const SETTLE_MS = 2_000

interface RunningSubject extends Subject {
  readonly server: BenchServer
}

/**
 * Runs the whole benchmark, prints its figures on stdout and its progress on stderr, and removes everything
 * it created.
 */
export async function runBench(options: BenchOptions): Promise<void> {
  const { dataset, comparison, isJson, variants, signal } = options
  const authSecret = randomBytes(32).toString('base64url')
  log('starting Postgres')
  const cluster = await startCluster(authSecret)
  const subjects: RunningSubject[] = []
  try {
    const start = startWith({ cluster, authSecret, options, subjects })
    await start({ database: 'bench', dataset, variants, isComparison: false })
    if (comparison && variants.includes('rowhouse')) {
      await start({
        database: 'bench_small',
        dataset: comparison,
        variants: ['rowhouse'],
        isComparison: true,
      })
    }
    const ours = subjects.find(({ variant }) => variant === 'rowhouse')?.server
    await sleep(SETTLE_MS, undefined, { signal })
    const idleBytes = ours?.memoryBytes() ?? null
    const measurements = await measure(subjects, { ...options, log })
    const loadedBytes = ours?.memoryBytes() ?? null
    if (isJson) print(toJson(measurements))
    else {
      print(`${describeDataset(dataset)}; ${options.connections} connections; ${cluster.description};`)
      print(`Node.js ${process.versions.node}; servers, Postgres and load on ${availableParallelism()} cores`)
      print(`\n${toTable(measurements)}\n`)
      const flatness = flatnessTable(measurements)
      if (flatness) print(`${flatness}\n`)
      if (ours) print(memoryLine({ idleBytes, loadedBytes }))
    }
  } finally {
    await Promise.all(subjects.map(({ server }) => server.stop()))
    await cluster.stop()
  }
}

interface House {
  readonly cluster: BenchCluster
  readonly authSecret: string
  readonly options: BenchOptions
  /** Every server that was started, to be stopped at the end. */
  readonly subjects: RunningSubject[]
}

interface Start {
  readonly database: string
  readonly dataset: Dataset
  readonly variants: readonly Variant[]
  readonly isComparison: boolean
}

function startWith({ cluster, authSecret, options, subjects }: House) {
  const { profileDir, signal } = options
  return async ({ database, dataset, variants, isComparison }: Start): Promise<void> => {
    signal.throwIfAborted()
    log(`loading ${describeDataset(dataset)}`)
    const url = await cluster.createDatabase(database, dataset)
    const add = (variant: Variant, server: BenchServer) =>
      subjects.push({ variant, server, isComparison, port: server.port, target: { dataset, authSecret } })
    // Ours first: it refuses to start on a database with the policies that the usual way needs.
    if (variants.includes('rowhouse')) {
      add('rowhouse', await startRowhouse({ databaseUrl: url, authSecret, profileDir }))
    }
    const others = variants.filter(variant => variant !== 'rowhouse')
    const logins = others.length > 0 ? await createBenchLogins(url) : null
    for (const variant of others) {
      const databaseUrl = logins?.[variant] ?? ''
      add(variant, await startVariant(variant, { databaseUrl, profileDir }))
    }
  }
}

function log(line: string): void {
  process.stderr.write(`${line}\n`)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
