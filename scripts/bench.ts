import { Command, InvalidArgumentError, Option } from 'commander'
import { LARGE, LARGE_CONTENT, SMALL, SMALL_CONTENT } from './bench/dataset.ts'
import { CONTENT_OPERATIONS, type Operation, TASK_OPERATIONS } from './bench/operations.ts'
import { type BenchOptions, runBench } from './bench/run.ts'
import { VARIANTS, type Variant } from './bench/servers.ts'
import { streamsCommand } from './bench/streams.ts'
import { runWhenMain } from './migrate/run.ts'

interface Flags {
  large?: boolean
  json?: boolean
  duration: number
  warmUp: number
  connections: number
  variant?: Variant[]
  operation?: Operation[]
  profile?: string
}

const help = `
Runs three servers on the same tables in short alternating rounds, and prints the median of each server's rounds:
  limit      bare node:http and pg: one prepared statement per operation, with the session joined by hand
  usual      tRPC's adapter, Kysely, zod and superjson; session, begin, set_config, statement and commit are separate round trips
  rowhouse   this server, as npm start runs it in production
The servers, a temporary Postgres and the load generator all run on this machine.`

/**
 * `npm run bench`: throughput and latency of this server, of the minimum that could do its work, and of the
 * usual way.
 */
export function createProgram(signal: AbortSignal): Command {
  return (
    new Command('bench')
      .description(
        'Compares this server with the minimum that could do the same work, and with the usual way to do it.',
      )
      // Options after a subcommand belong to it, even if the main command has the same flag.
      .enablePositionalOptions()
      .option(
        '--large',
        'use 10,000 users with 1,000 tasks each instead of 1,000 with 100; compares this server on both',
      )
      .option('--json', 'print only one JSON array of the figures')
      .option('--duration <seconds>', 'how long to measure each variant per operation', positive, 10)
      .option('--warm-up <seconds>', 'how long to send load before measuring an operation', positive, 4)
      .option('--connections <count>', 'number of connections, each with one request at a time', positive, 16)
      .addOption(new Option('--variant <names...>', 'measure only these variants').choices(VARIANTS))
      .addOption(
        new Option('--operation <names...>', 'measure only these operations').choices(TASK_OPERATIONS),
      )
      .option('--profile <directory>', 'write a CPU profile of each server to this directory')
      .addCommand(contentCommand(signal))
      .addCommand(streamsCommand())
      .addHelpText('after', help)
      .action(async (flags: Flags) => {
        await runBench({
          ...commonOptions(flags),
          dataset: flags.large ? LARGE : SMALL,
          comparison: flags.large ? SMALL : null,
          variants: VARIANTS.filter(variant => flags.variant?.includes(variant) ?? true),
          operations: TASK_OPERATIONS.filter(operation => flags.operation?.includes(operation) ?? true),
          signal,
        })
      })
  )
}

/** `npm run bench -- content`: lists with joins and searches, compared with statements written by hand. */
function contentCommand(signal: AbortSignal): Command {
  return new Command('content')
    .description('Measures lists and searches of content, and the same statements written by hand.')
    .option(
      '--large',
      'use 1,000,000 pieces of 10,000 creators instead of 100,000 of 1,000; compares this server on both',
    )
    .option('--json', 'print only one JSON array of the figures')
    .option('--duration <seconds>', 'how long to measure each variant per operation', positive, 10)
    .option('--warm-up <seconds>', 'how long to send load before measuring an operation', positive, 4)
    .option('--connections <count>', 'number of connections, each with one request at a time', positive, 16)
    .option('--profile <directory>', 'write a CPU profile of each server to this directory')
    .action((flags: Flags) =>
      runBench({
        ...commonOptions(flags),
        dataset: flags.large ? LARGE_CONTENT : SMALL_CONTENT,
        comparison: flags.large ? SMALL_CONTENT : null,
        variants: ['limit', 'rowhouse'],
        operations: CONTENT_OPERATIONS,
        signal,
      }),
    )
}

function commonOptions(
  flags: Flags,
): Pick<BenchOptions, 'isJson' | 'durationMs' | 'warmUpMs' | 'connections' | 'profileDir'> {
  return {
    isJson: flags.json === true,
    durationMs: flags.duration * 1_000,
    warmUpMs: flags.warmUp * 1_000,
    connections: Math.ceil(flags.connections),
    profileDir: flags.profile,
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

await runWhenMain(import.meta.url, createProgram)
