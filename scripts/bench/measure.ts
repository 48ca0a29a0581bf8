import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Round, RoundReply, RoundResult } from './load-generator.ts'
import type { Operation, Target } from './operations.ts'
import type { Variant } from './servers.ts'

/** One server under load: a variant with a dataset. */
export interface Subject {
  readonly variant: Variant
  /** True for our server on the small dataset, while all three variants run on the large one. */
  readonly isComparison: boolean
  readonly port: number
  readonly target: Target
}

export interface Measurement extends RoundResult {
  readonly subject: Subject
  readonly operation: Operation
}

export interface MeasureOptions {
  readonly operations: readonly Operation[]
  readonly connections: number
  /** How long each variant is measured per operation, over all rounds. */
  readonly durationMs: number
  readonly warmUpMs: number
  readonly log: (line: string) => void
  readonly signal: AbortSignal
}

const ROUNDS = 5

/**
 * Measures every subject in every operation. Rounds are short and alternate, each starting with another
 * subject, so that other work on the machine affects all of them; the result is the median of an operation's
 * rounds.
 */
export async function measure(subjects: readonly Subject[], options: MeasureOptions): Promise<Measurement[]> {
  const { operations, connections, durationMs, warmUpMs, log, signal } = options
  const generator = fork(fileURLToPath(new URL('./load-generator.ts', import.meta.url)), { execArgv: [] })
  const stop = () => generator.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  const measurements: Measurement[] = []
  try {
    for (const operation of operations) {
      const runRound = (subject: Subject, ms: number) =>
        send(generator, {
          target: subject.target,
          port: subject.port,
          operation,
          connections,
          durationMs: ms,
        })
      for (const subject of subjects) {
        log(`${operation}: warming up ${subject.variant}`)
        await runRound(subject, warmUpMs)
      }
      log(`${operation}: measuring`)
      const results = new Map<Subject, RoundResult[]>(subjects.map(subject => [subject, []]))
      for (let round = 0; round < ROUNDS; round++) {
        for (let turn = 0; turn < subjects.length; turn++) {
          const subject = subjects[(round + turn) % subjects.length] as Subject
          results.get(subject)?.push(await runRound(subject, durationMs / ROUNDS))
        }
      }
      for (const [subject, rounds] of results) measurements.push({ subject, operation, ...medians(rounds) })
    }
  } finally {
    signal.removeEventListener('abort', stop)
    generator.kill()
  }
  return measurements
}

async function send(generator: ChildProcess, round: Round): Promise<RoundResult> {
  const done = new AbortController()
  const { signal } = done
  generator.send(round)
  const answered = once(generator, 'message', { signal }).then(([reply]: RoundReply[]) => reply)
  const gone = once(generator, 'exit', { signal }).then(() => undefined)
  gone.catch(() => {})
  const reply = await Promise.race([answered, gone]).finally(() => done.abort())
  if (reply === undefined) throw new Error('the load generator exited before the end of the measurement')
  if (reply.error !== undefined) throw new Error(reply.error)
  return reply
}

function medians(rounds: readonly RoundResult[]): RoundResult {
  const median = (key: 'requestsPerSecond' | 'p50Ms' | 'p99Ms') => {
    const sorted = rounds.map(round => round[key]).sort((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? 0
  }
  return {
    requestsPerSecond: median('requestsPerSecond'),
    p50Ms: median('p50Ms'),
    p99Ms: median('p99Ms'),
  }
}
