// The usual way to build this: tRPC's standalone adapter, Kysely, zod and superjson. Each call looks up its
// session, begins, sets the caller's id, runs its statement and commits, one after the other; policies
// compare rows with that id.

import { createServer } from 'node:http'
import { initTRPC, TRPCError } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { CamelCasePlugin, Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import pg from 'pg'
import superjson from 'superjson'
import type { DB } from '#server/db/types.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { getTask, listTasks } from '#server/rooms/tasks/queries.ts'
import * as schema from '#server/rooms/tasks/schema.ts'
import { SCOPES } from '#server/rpc/scopes.ts'
import { announce, MAX_CONNECTIONS, MAX_TASKS_PER_DAY, readVariantOptions, storedTokenOf } from './shared.ts'

const db = new Kysely<DB>({
  dialect: new PostgresDialect({
    pool: new pg.Pool({ ...toPgConfig(readVariantOptions().databaseUrl), max: MAX_CONNECTIONS }),
  }),
  plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
})

interface Context {
  readonly authorization: string | undefined
}

const t = initTRPC.context<Context>().create({ transformer: superjson })

const procedure = t.procedure.use(async ({ ctx, next }) => {
  const session = await db
    .selectFrom('auth.sessions')
    .select('userId')
    .where('token', '=', storedTokenOf(ctx.authorization))
    .where('expiresAt', '>', sql<Date>`now()`)
    .executeTakeFirst()
  if (!session) throw new TRPCError({ code: 'UNAUTHORIZED' })
  const { userId } = session
  return next({ ctx: { userId, run: <T>(fn: (trx: Transaction<DB>) => Promise<T>) => runAs(userId, fn) } })
})

function runAs<T>(userId: string, fn: (trx: Transaction<DB>) => Promise<T>): Promise<T> {
  return db.transaction().execute(async trx => {
    await sql`select set_config('bench.user_id', ${userId}, true)`.execute(trx)
    return fn(trx)
  })
}

const TASK_COLUMNS = [
  'id',
  'organizationId',
  'title',
  'prompt',
  'status',
  'progress',
  'repoUrl',
  'branchName',
  'sandboxUrl',
  'previewUrl',
  'prUrl',
  'prNumber',
  'prStatus',
  'prMergeCommitSha',
  'agent',
  'model',
  'options',
  'error',
  'lastLogSeq',
  'startedAt',
  'completedAt',
  'deletedAt',
  'createdAt',
  'updatedAt',
] as const

async function createTask(trx: Transaction<DB>, userId: string, input: schema.CreateTask) {
  const { rows } = await sql<{ isWithin: boolean | null }>`
    insert into app.daily_usage as u (user_id, day, tasks) values (${userId}, (now() at time zone 'UTC')::date, 1)
    on conflict (user_id, day) do update set tasks = u.tasks + 1
    returning u.tasks <= least(${MAX_TASKS_PER_DAY}::int, (
      select min((v.value #>> '{}')::integer) from app.settings v where v.key = 'maxTasksPerDay'
    )) as is_within`.execute(trx)
  if (!rows[0]?.isWithin) throw new TRPCError({ code: 'TOO_MANY_REQUESTS' })
  const { prUrl, prNumber, prStatus, prMergeCommitSha, ...task } = await trx
    .insertInto('app.tasks')
    .values({
      userId,
      title: input.prompt.split('\n', 1)[0] ?? '',
      prompt: input.prompt,
      repoUrl: input.repoUrl ?? null,
      agent: input.agent ?? null,
    })
    .returning(TASK_COLUMNS)
    .executeTakeFirstOrThrow()
  const pullRequest = prUrl && {
    url: prUrl,
    number: prNumber,
    status: prStatus,
    mergeCommitSha: prMergeCommitSha,
  }
  return { ...task, pullRequest }
}

async function appendLogs(trx: Transaction<DB>, userId: string, { taskId, entries }: schema.AppendLogs) {
  const task = await trx
    .updateTable('app.tasks')
    .set(eb => ({ lastLogSeq: eb('lastLogSeq', '+', entries.length) }))
    .where('id', '=', taskId)
    .where('deletedAt', 'is', null)
    .returning('lastLogSeq')
    .executeTakeFirst()
  if (!task) throw new TRPCError({ code: 'NOT_FOUND' })
  const firstSeq = task.lastLogSeq - entries.length + 1
  await trx
    .insertInto('app.taskLogs')
    .values(entries.map((entry, index) => ({ ...entry, userId, taskId, seq: firstSeq + index })))
    .execute()
  return { lastSeq: task.lastLogSeq }
}

async function getAccount(trx: Transaction<DB>, userId: string) {
  const user = await trx
    .selectFrom('auth.users')
    .select(['id', 'name', 'email', 'image'])
    .where('id', '=', userId)
    .executeTakeFirstOrThrow()
  return { user, credential: 'session', organization: null, scopes: SCOPES }
}

const router = t.router({
  tasks: t.router({
    get: procedure.input(schema.taskId).query(({ ctx, input }) => ctx.run(trx => getTask(trx, input.id))),
    list: procedure.input(schema.listTasks).query(({ ctx, input }) => ctx.run(trx => listTasks(trx, input))),
    create: procedure
      .input(schema.createTask)
      .mutation(({ ctx, input }) => ctx.run(trx => createTask(trx, ctx.userId, input))),
    logs: t.router({
      append: procedure
        .input(schema.appendLogs)
        .mutation(({ ctx, input }) => ctx.run(trx => appendLogs(trx, ctx.userId, input))),
    }),
  }),
  account: t.router({
    me: procedure.query(({ ctx }) => ctx.run(trx => getAccount(trx, ctx.userId))),
  }),
})

announce(
  createServer(
    createHTTPHandler({
      router,
      basePath: '/trpc/',
      createContext: ({ req }) => ({ authorization: req.headers.authorization }),
    }),
  ),
)
