import { rmSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { startServer } from '#server/start.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { attack, FUZZED_ENVIRONMENT } from './fuzz/house.ts'
import { LIMITS, type Measurement, measureTarget } from './fuzz/measure.ts'
import { toTable, worstOfGroups } from './fuzz/report.ts'
import { inTurns, MEBIBYTE, randomOf } from './fuzz/target.ts'
import { fuzzTargets } from './fuzz/targets.ts'
import { CheckFailed } from './migrate/output.ts'
import { runWhenMain } from './migrate/run.ts'

interface Flags {
  json?: boolean
  seconds: number
  seed: number
  only?: string
}

/** `npm run fuzz`: time per byte of all code that reads untrusted bytes. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('fuzz')
    .description(
      'Sends inputs that are meant to be slow, and measures the time per byte and the longest block of the event loop.',
    )
    .option('--json', 'print only one JSON array of the worst input of each group')
    .option('--seconds <n>', 'how long', positive, 60)
    .option('--seed <n>', 'seed of the order and the inputs', Number, 1)
    .option('--only <text>', 'only targets whose group or name contains this text')
    .action((flags: Flags) => fuzz(flags, signal))
}

async function fuzz({ json, seconds, seed, only }: Flags, signal: AbortSignal): Promise<void> {
  const dataDir = throwawayDirectory('fuzz')
  const server = await startServer(
    loadConfig({ ...FUZZED_ENVIRONMENT, DATA_DIR: dataDir }),
    createLogger({ level: 'silent' }),
  )
  const attacker = attack(server.url)
  try {
    const random = randomOf(seed)
    const all = fuzzTargets(attacker)
    const chosen =
      only === undefined ? all : all.filter(({ group, name }) => `${group} ${name}`.includes(only))
    const measurements: Measurement[] = []
    const deadline = performance.now() + seconds * 1_000
    for (const target of inTurns(chosen, random)) {
      if (performance.now() > deadline || signal.aborted) break
      measurements.push(await measureTarget(target, { maxBytes: MEBIBYTE, limits: LIMITS, random }))
    }
    const worst = worstOfGroups(measurements, LIMITS)
    if (json)
      process.stdout.write(
        `${JSON.stringify(worst.map(({ measurement, isOver }) => ({ ...measurement, isOver })))}\n`,
      )
    else
      process.stdout.write(
        `${toTable(worst)}\n\n${measurements.length} of ${chosen.length} targets, seed ${seed}\n`,
      )
    const over = worst.filter(({ isOver }) => isOver).length
    if (over > 0)
      throw new CheckFailed(
        `${over} groups take more than ${LIMITS.msPerKb} ms per kB or block for more than ${LIMITS.blockMs} ms`,
        {},
      )
  } finally {
    attacker.close()
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

await runWhenMain(import.meta.url, createProgram)
