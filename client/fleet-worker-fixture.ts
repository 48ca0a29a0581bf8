// A worker in its own process, for tests that kill or freeze it. Prints its actions on stdout, one JSON
// object per line.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRowhouseError } from './index.ts'
import { persist } from './retries.ts'
import { type TaskContext, work } from './worker.ts'

export type FleetEvent =
  /** The worker keeps this task and writes to it until a write is refused. */
  | { readonly kind: 'held'; readonly taskId: string }
  /** The server's answer to each of the writes that came too late. */
  | { readonly kind: 'refused'; readonly taskId: string; readonly reasons: string[] }

const [url = '', token = '', worker = '', holdAt = '0'] = process.argv.slice(2)
let claimed = 0

function tell(event: FleetEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

/** Every line has the id of the run that wrote it. */
function linesOf(run: string) {
  let line = 0
  return () => `${run} ${line++}`
}

async function handle(context: TaskContext): Promise<{ run: string }> {
  const run = randomUUID()
  const nextLine = linesOf(run)
  if (++claimed === Number(holdAt)) await hold(context, nextLine)
  for (let step = 0; step < 4; step++) {
    await context.log('info', nextLine())
    await sleep(10 + Math.random() * 40)
  }
  return { run }
}

async function hold({ task, client }: TaskContext, nextLine: () => string): Promise<void> {
  const taskId = task.id
  const append = () => {
    const entries = [{ type: 'info' as const, message: nextLine() }]
    return outcomeOf(() => client.tasks.logs.append.mutate({ taskId, entries }))
  }
  tell({ kind: 'held', taskId })
  let outcome = 'written'
  while (outcome === 'written') {
    outcome = await append()
    await sleep(20)
  }
  const late = [
    append(),
    outcomeOf(() => client.tasks.update.mutate({ id: taskId, progress: 1 })),
    outcomeOf(() => client.tasks.complete.mutate()),
    outcomeOf(() => client.tasks.fail.mutate({ error: 'too late' })),
  ]
  tell({ kind: 'refused', taskId, reasons: [outcome, ...(await Promise.all(late))] })
  throw new Error(outcome)
}

/** Returns the outcome of a write; retries while the server is busy. */
function outcomeOf(write: () => Promise<unknown>): Promise<string> {
  return persist(new AbortController().signal, write).then(
    () => 'written',
    error => (isRowhouseError(error) ? String(error.reason) : String(error)),
  )
}

await work({ url, token, worker, handler: handle, leaseSeconds: 10, onError: () => {} }).done
