import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { type BenchHouse, openBenchHouse } from './streams/house.ts'
import { openSubscribers } from './streams/subscribers.ts'
import { measureCommits, startWriters } from './streams/writers.ts'

interface StreamsFlags {
  subscribers: string
  tasks: string
  rate: string
  duration: string
  profile?: string
  json?: boolean
}

interface StreamsFigures {
  readonly subscribers: number
  readonly tasks: number
  readonly eventsPerSecond: number
  readonly deliveriesPerSecond: number
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly bytesPerSubscriber: number
  readonly serverCpu: number
  /**
   * Commit times of a writer without subscribers: once without other readers, and once while all readers are
   * connected.
   */
  readonly commitMs: {
    readonly withoutStreams: { readonly p50: number; readonly p99: number }
    readonly withStreams: { readonly p50: number; readonly p99: number }
  }
  /** Events that arrived twice, out of order, or not at all. */
  readonly faults: number
}

/** `npm run bench -- streams`: the cost of delivering events to many readers of one process. */
export function streamsCommand(): Command {
  return new Command('streams')
    .description('Delivers log lines to many subscribers of one server process, all on this machine.')
    .option('--subscribers <count>', 'open streams', '2000')
    .option('--tasks <count>', 'number of tasks, each of another user', '10')
    .option('--rate <events>', 'events a second over all tasks', '100')
    .option('--duration <seconds>', 'how long to measure each phase', '15')
    .option('--profile <directory>', 'write a CPU profile of the server to this directory')
    .option('--json', 'print only the figures, as JSON')
    .action(async (flags: StreamsFlags) => {
      const figures = await measureStreams(flags)
      process.stdout.write(flags.json ? `${JSON.stringify(figures)}\n` : describe(figures))
      if (figures.faults > 0) process.exitCode = 1
    })
}

async function measureStreams(flags: StreamsFlags): Promise<StreamsFigures> {
  const house = await openBenchHouse({ profileDir: flags.profile })
  try {
    return await measure(house, flags)
  } finally {
    await house.stop()
  }
}

async function measure(house: BenchHouse, flags: StreamsFlags): Promise<StreamsFigures> {
  const durationMs = Number(flags.duration) * 1_000
  const subscribers = Number(flags.subscribers)
  const tasks = await Promise.all(Array.from({ length: Number(flags.tasks) }, () => house.createTask()))
  const unwatched = await house.createTask()

  const writers = startWriters(house.port, tasks, Number(flags.rate))
  await sleep(3_000)
  const withoutStreams = await measureCommits(house.apiUrl, unwatched, durationMs)
  await writers.stop()

  const warmUp = await openSubscribers(house.port, tasks, Math.ceil(subscribers / 20))
  const warmUpWriters = startWriters(house.port, tasks, Number(flags.rate))
  await sleep(3_000)
  await warmUpWriters.stop()
  warmUp.close()
  await sleep(500)

  const bytesBefore = house.residentBytes()
  const readers = await openSubscribers(house.port, tasks, subscribers)
  const watched = startWriters(house.port, tasks, Number(flags.rate))
  await sleep(3_000)
  readers.takeLatencies()
  const [startedAt, cpuBefore, writtenBefore] = [performance.now(), house.cpuSeconds(), watched.written]
  const withStreams = await measureCommits(house.apiUrl, unwatched, durationMs)
  const seconds = (performance.now() - startedAt) / 1_000
  const latencies = readers.takeLatencies()
  const written = watched.written - writtenBefore
  const cpuSeconds = house.cpuSeconds() - cpuBefore
  const bytes = house.residentBytes() - bytesBefore
  await watched.stop()
  readers.close()
  for (const fault of readers.faults.slice(0, 5)) process.stderr.write(`${fault}\n`)
  return {
    subscribers,
    tasks: tasks.length,
    eventsPerSecond: round(written / seconds),
    deliveriesPerSecond: Math.round(latencies.length / seconds),
    latencyMs: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), max: quantile(latencies, 1) },
    bytesPerSubscriber: Math.round(bytes / subscribers),
    serverCpu: round(cpuSeconds / seconds),
    commitMs: { withoutStreams: spread(withoutStreams), withStreams: spread(withStreams) },
    faults: readers.faults.length,
  }
}

function spread(times: readonly number[]): { p50: number; p99: number } {
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function describe(figures: StreamsFigures): string {
  const { latencyMs, commitMs } = figures
  const { withoutStreams, withStreams } = commitMs
  return [
    `${figures.subscribers} subscribers on one process, ${figures.tasks} tasks, ${figures.eventsPerSecond} events/s`,
    `delivered      ${figures.deliveriesPerSecond} events/s, ${figures.faults} missed or repeated`,
    `latency        p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, max ${latencyMs.max} ms from statement to receipt`,
    `memory         ${(figures.bytesPerSubscriber / 1_000).toFixed(1)} kB per subscriber`,
    `server         ${Math.round(figures.serverCpu * 100)} % of a core`,
    `unwatched commits: p50 ${withoutStreams.p50} ms without streams, ${withStreams.p50} ms with`,
    `                   p99 ${withoutStreams.p99} ms without streams, ${withStreams.p99} ms with`,
    '',
  ].join('\n')
}
