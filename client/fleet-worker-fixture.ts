// A worker in a process of its own, for tests of what becomes of the tasks of one that is killed or frozen.
// Says on stdout what it does, one JSON object a line.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRowhouseError } from './index.ts'
import { persist } from './retries.ts'
import { type TaskContext, work } from './worker.ts'

export type FleetEvent =
  /** It holds on to this task, writing to it until it is refused. */
  | { readonly kind: 'held'; readonly taskId: string }
  /** What the server said to each of the writes that came too late. */
  | { readonly kind: 'refused'; readonly taskId: string; readonly reasons: string[] }

const [url = '', token = '', worker = '', holdAt = '0'] = process.argv.slice(2)
let claimed = 0

function tell(event: FleetEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

/** Every line names the run that wrote it. */
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

/** What became of a write, however busy the server is at first. */
function outcomeOf(write: () => Promise<unknown>): Promise<string> {
  return persist(new AbortController().signal, write).then(
    () => 'written',
    error => (isRowhouseError(error) ? String(error.reason) : String(error)),
  )
}

await work({ url, token, worker, handler: handle, leaseSeconds: 10, onError: () => {} }).done
