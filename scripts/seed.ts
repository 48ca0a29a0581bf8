import { TRPCError } from '@trpc/server'
import { Command } from 'commander'
import { type Config, loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { createServices } from '#server/app/services.ts'
import { type DatabaseServer, openDatabaseServer } from '#server/postgres/database-server.ts'
import { ensureLogins, loginUrls } from '#server/postgres/logins.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import { expectedMigrations, migrateToLatest } from '#server/postgres/migrations/runner.ts'
import { checkReadiness } from '#server/postgres/readiness.ts'
import { createOutput, type Output, type OutputOptions } from './migrate/output.ts'
import { runWhenMain } from './migrate/run.ts'
import { makeContent } from './seed/content.ts'
import { ADA, type DemoUser, GRACE, ORGANIZATION, PASSWORD, TASKS, tokenCommands } from './seed/demo.ts'
import { type FrontDoor, type Organization, openFrontDoor, type Person } from './seed/front-door.ts'
import { openTaskMaker, type TaskMaker } from './seed/tasks.ts'

const help = `
Uses the database that npm start would use: DATABASE_URL, else the embedded Postgres in DATA_DIR, which it shares with a running
server or starts and stops itself. Existing rows are left unchanged, so you can run the seed at any time.`

/** `npm run seed`: demo users, an organization, tasks in every state, and content. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('seed')
    .description(
      'For development: creates two users who can sign in, their organization, tasks in every state with logs and messages, and content. ' +
        'Refuses production, because the password is public.',
    )
    .option('--json', 'print one JSON object on stdout; progress goes to stderr')
    .addHelpText('after', help)
    .action(async (options: OutputOptions) => {
      const config = loadConfig()
      refuseProduction(config)
      const output = createOutput(options)
      const database = await openDatabaseServer(config, { log: output.log, share: true })
      try {
        await seed({ config, database, output, signal })
      } finally {
        await database.close()
      }
    })
}

function refuseProduction({ environment, database }: Config): void {
  const isProduction =
    environment === 'production' || (database.kind === 'external' && database.method === 'PRODUCTION')
  if (!isProduction) return
  throw new MigrationError(
    'production',
    'the seed is refused in production: it creates users with a public password',
  )
}

interface Job {
  readonly config: Config
  readonly database: DatabaseServer
  readonly output: Output
  readonly signal: AbortSignal
}

async function seed({ config, database, output, signal }: Job): Promise<void> {
  const { authSecret, loginUrls: overrides } = config
  const { ownerUrl } = database
  if (ownerUrl && config.migrateOnStart) {
    await migrateToLatest({ url: ownerUrl, log: output.log, signal })
    await ensureLogins(ownerUrl, authSecret, { overrides, mayReplace: database.isStartedHere })
  }
  const urls = loginUrls({ baseUrl: database.url, directUrl: ownerUrl, authSecret, overrides })
  const services = createServices(config, urls, createLogger({ level: 'silent' }))
  const door = openFrontDoor(config, services)
  const people: Person[] = []
  try {
    const { ok, reason } = await checkReadiness(services.pools.api, await expectedMigrations())
    if (!ok) throw new MigrationError('not_ready', `${reason}; run npx kysely-migrate up --latest`)
    const tell = (isNew: boolean, what: string) => output.log(`${isNew ? 'created' : 'exists '}  ${what}`)

    const ada = await enter(door, ADA, people)
    const grace = await enter(door, GRACE, people)
    for (const { isNew, name, email } of people) tell(isNew, `${name} <${email}>`)

    const { organization, isNew } = await ensureOrganization(door, ada, grace)
    tell(isNew, `organization ${organization.name}: ${ada.name} owns it, ${grace.name} is a member`)

    const makers = new Map<DemoUser, TaskMaker>([
      [ADA, openTaskMaker(services, ada)],
      [GRACE, openTaskMaker(services, grace)],
    ])
    const tasks: { title: string; owner: string; state: string; isNew: boolean }[] = []
    for (const [owner, maker] of makers) {
      const own = TASKS.filter(task => task.owner === owner)
      const existing = await maker.existing(own.map(task => task.title))
      for (const task of own) {
        if (signal.aborted)
          throw new MigrationError('interrupted', 'interrupted; run the command again to continue')
        const { title, state } = task
        const isNew = !existing.has(title)
        if (isNew) await maker.make(task, organization.id)
        tell(isNew, `task "${title}", ${state} (${owner.name})`)
        tasks.push({ title, owner: owner.email, state, isNew })
      }
    }
    const content = []
    for (const person of [ada, grace]) content.push(...(await makeContent(services, person, organization.id)))
    for (const { title, state, owner, isNew } of content)
      tell(isNew, `content "${title}", ${state} (${owner})`)
    const users = people.map(({ id, email, name, isNew }) => ({ id, email, name, isNew }))
    output.done(
      { password: PASSWORD, users, organization: { ...organization, isNew }, tasks, content },
      whatNext(config.appUrl),
    )
  } catch (error) {
    throw explained(error)
  } finally {
    for (const person of people) await door.leave(person)
    await door.close()
    await services.close()
  }
}

async function enter(door: FrontDoor, user: DemoUser, people: Person[]): Promise<Person> {
  const person = await door.enter(user, PASSWORD)
  people.push(person)
  return person
}

async function ensureOrganization(
  door: FrontDoor,
  owner: Person,
  member: Person,
): Promise<{ organization: Organization; isNew: boolean }> {
  const ours = ({ slug }: Organization) => slug === ORGANIZATION.slug
  const existing = (await door.organizationsOf(owner)).find(ours)
  const { id, name, slug } = existing ?? (await door.createOrganization(owner, ORGANIZATION))
  const isMember = (await door.organizationsOf(member)).some(ours)
  if (!isMember) await door.addMember(owner, member, id)
  return { organization: { id, name, slug }, isNew: !existing }
}

function whatNext(appUrl: string): string[] {
  return [
    '',
    'Sign in with',
    ...[ADA, GRACE].map(({ email }) => `  ${email.padEnd(20)} ${PASSWORD}`),
    '',
    'While the server runs (npm start), this lists the tasks of Ada:',
    ...tokenCommands(appUrl).map(line => `  ${line}`),
    `  curl -s ${appUrl}/trpc/tasks.list -H "authorization: Bearer $TOKEN"`,
    '',
    'npm run demo:worker then works on them while you watch.',
  ]
}

/** Turns a refusal into an error that prints its message without a stack. */
function explained(error: unknown): unknown {
  const isRefusal = error instanceof TRPCError && error.code !== 'INTERNAL_SERVER_ERROR'
  return isRefusal ? new MigrationError('refused', error.message, { cause: error }) : error
}

await runWhenMain(import.meta.url, createProgram)
