import { Command, InvalidArgumentError } from 'commander'
import { createClient, isRowhouseError, type RowhouseClient, signIn, signOut } from '#client/index.ts'
import { type Task, work } from '#client/worker.ts'
import { loadConfig } from '#server/app/config.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import { perform } from './demo/performance.ts'
import { createOutput } from './migrate/output.ts'
import { runWhenMain } from './migrate/run.ts'
import { ADA, PASSWORD, tokenCommands } from './seed/demo.ts'

const help = `
Needs a server (npm start) with the demo users (npm run seed). Signs in as Ada, creates an API token that may only work on tasks,
and claims one task after the other. It clones and builds nothing: it only writes the lines that an agent would write.`

interface Options {
  readonly url?: string
  readonly seconds: number
  readonly once?: boolean
}

/** `npm run demo:worker`: works on Ada's pending tasks, slowly enough to watch. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('demo-worker')
    .description('For development: works on the demo user’s pending tasks, with logs and a streamed message.')
    .option('--url <url>', "the server's URL (default: APP_URL)")
    .option('--seconds <seconds>', 'seconds for each task', seconds, 30)
    .option('--once', 'stop after one task')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      const url = options.url ?? loadConfig().appUrl
      const session = await enter(url)
      const client = createClient({ url, token: session })
      try {
        await workAs(client, { ...options, url, signal })
      } finally {
        await signOut({ url, token: session })
      }
    })
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 3_600))
    throw new InvalidArgumentError('It must be a number above 0, at most 3600.')
  return value
}

async function enter(url: string): Promise<string> {
  try {
    return (await signIn({ url, email: ADA.email, password: PASSWORD })).token
  } catch (error) {
    if (!isRowhouseError(error)) throw error
    const next = {
      unreachable: `: start the server with npm start`,
      unauthenticated: `: ${ADA.email} does not exist with the demo password; run npm run seed`,
    }[String(error.reason)]
    throw new MigrationError('refused', `${error.message}${next ?? ''}`, { cause: error })
  }
}

async function workAs(
  client: RowhouseClient,
  { url, once, seconds, signal }: Options & { url: string; signal: AbortSignal },
): Promise<void> {
  const { log } = createOutput({})
  const finished = new AbortController()
  // The token is revoked when this command ends, and expires after a day.
  const { id, token } = await client.apiTokens.create.mutate({
    name: 'demo worker',
    scopes: ['tasks:work'],
    expiresAt: new Date(Date.now() + 24 * 60 * 60 * 1_000),
  })
  try {
    log('waiting for tasks; press Ctrl-C to stop')
    await work({
      url,
      token,
      worker: 'demo worker',
      leaseSeconds: 15,
      drainMs: 1_000,
      signal: AbortSignal.any([signal, finished.signal]),
      stopOnSignals: false,
      handler: async context => {
        for (const line of howToFollow(url, context.task)) log(line)
        const result = await perform(context, seconds)
        log(`completed "${context.task.title}"`)
        if (once) finished.abort()
        return result
      },
      onError: (error, task) => log(`${task ? `"${task.title}": ` : ''}${(error as Error).message}`),
    }).done
  } finally {
    await client.apiTokens.revoke.mutate({ id })
  }
}

function howToFollow(url: string, { id, title }: Task): string[] {
  const input = JSON.stringify({ json: { taskId: id } })
  return [
    '',
    `working on "${title}"; watch it from another terminal with`,
    ...[...tokenCommands(url), ...['messages', 'logs'].map(kind => followCommand(url, kind, input))].map(
      line => `  ${line}`,
    ),
    '',
  ]
}

function followCommand(url: string, kind: string, input: string): string {
  return `curl -sN -G ${url}/trpc/tasks.${kind}.stream -H "authorization: Bearer $TOKEN" --data-urlencode 'input=${input}'`
}

await runWhenMain(import.meta.url, createProgram)
