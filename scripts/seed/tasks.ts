// Creates tasks by calling the router as their owner. Only a worker can start, complete or answer a task; the
// seed writes those changes as the owner through the scoped database, under row-level security.
import { sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import { ambientDatabase, type Database } from '#server/db/database.ts'
import { DEFAULT_TIMEOUT_MS, type StatementScope, withScope } from '#server/db/scope.ts'
import { type Caller, createCaller } from '#server/rpc/caller.ts'
import { callerContext } from '#server/rpc/context.ts'
import type { DemoTask } from './demo.ts'
import type { Person } from './front-door.ts'

export interface TaskMaker {
  /** Those of the titles that the owner already has a task with, removed tasks included. */
  existing(titles: readonly string[]): Promise<Set<string>>
  make(task: DemoTask, organizationId: string): Promise<void>
}

/** Creates the tasks of one user. */
export function openTaskMaker(services: Services, owner: Person): TaskMaker {
  const headers = { authorization: `Bearer ${owner.token}` }
  const caller = createCaller(services, { headers })
  const db = ambientDatabase(services.pools.api)
  const { credential } = callerContext(services, { headers })
  if (credential === null) throw new Error(`${owner.email} has no valid session`)
  const scope: StatementScope = {
    credential,
    organizationId: null,
    permission: 'session',
    isReadOnly: false,
    timeoutMs: DEFAULT_TIMEOUT_MS,
  }
  return {
    existing: titles => withScope(scope, () => existingTitles(db, titles)),
    make: (task, organizationId) => withScope(scope, () => makeTask({ caller, db }, task, organizationId)),
  }
}

async function existingTitles(db: Database, titles: readonly string[]): Promise<Set<string>> {
  const rows = await db
    .selectFrom('app.tasks')
    .select('title')
    .where(sql<boolean>`title = any (${[...titles]}::text[])`)
    .execute()
  return new Set(rows.map(row => row.title))
}

interface Tools {
  readonly caller: Caller
  readonly db: Database
}

async function makeTask({ caller, db }: Tools, task: DemoTask, organizationId: string): Promise<void> {
  const { title, prompt, repoUrl, agent, model, options, changes, logs, messages = [] } = task
  const { id } = await caller.tasks.create({
    title,
    prompt,
    repoUrl,
    agent,
    model,
    options,
    organizationId: task.isShared ? organizationId : undefined,
  })
  if (logs) await caller.tasks.logs.append({ taskId: id, entries: logs })
  for (const { role, content } of messages) {
    if (role === 'user') await caller.tasks.messages.send({ taskId: id, content })
    else await answer(db, id, content)
  }
  if (changes) await caller.tasks.update({ id, ...changes })
  await bringTo(task, { caller, db, id })
}

async function bringTo(task: DemoTask, { caller, db, id }: Tools & { id: string }): Promise<void> {
  switch (task.state) {
    case 'pending':
      return
    case 'stopped':
      await caller.tasks.stop({ id })
      return
    case 'removed':
      await caller.tasks.remove({ id })
      return
    default:
      await db
        .updateTable('app.tasks')
        .set({
          status: task.state,
          error: task.error ?? null,
          startedAt: sql<Date>`created_at`,
          completedAt: task.state === 'processing' ? null : sql<Date>`now()`,
        })
        .where('id', '=', id)
        .execute()
  }
}

/** Adds the agent's message to a conversation. */
async function answer(db: Database, taskId: string, content: string): Promise<void> {
  await db
    .with('task', query =>
      query
        .updateTable('app.tasks')
        .set(eb => ({ lastMessageSeq: eb('lastMessageSeq', '+', 1) }))
        .where('id', '=', taskId)
        .returning(['id', 'lastMessageSeq']),
    )
    .insertInto('app.taskMessages')
    .columns(['taskId', 'seq', 'role', 'content', 'status'])
    .expression(query =>
      query
        .selectFrom('task')
        .select([
          'task.id',
          'task.lastMessageSeq',
          sql<string>`'agent'`.as('role'),
          sql<string>`${content}::text`.as('content'),
          sql<string>`'complete'`.as('status'),
        ]),
    )
    .execute()
}
