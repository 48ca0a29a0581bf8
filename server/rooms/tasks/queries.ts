import { type Selectable, sql, type UpdateObject } from 'kysely'
import type { Quotas } from '#server/app/config/quotas.ts'
import { namesIn, pick } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import { deletedOperator, REMOVED, RESTORED } from '#server/db/soft-delete.ts'
import type { AppTasks, DB } from '#server/db/types.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import {
  type CreateTask,
  type ListTasks,
  newTaskRow,
  type PullRequest,
  shownTask,
  type Task,
  type TaskOptions,
  taskRow,
  type UpdateTask,
} from './schema.ts'
import { TASK_TRANSITIONS, type TaskAction } from './state.ts'

export const COLUMNS = namesIn(taskRow)
/** The fields of a task that are columns of its row under the same name. */
const SHOWN = namesIn(shownTask)
/** The fields of a new task's row that come from the input unchanged. */
const CREATED = namesIn(newTaskRow)

type TaskRow = Pick<Selectable<AppTasks>, (typeof COLUMNS)[number]>

/**
 * Creates a pending task and counts it against today's quota. Rolls back if the quota is used up, or with
 * `not_found` if a connector is not the caller's.
 */
export async function createTask(
  db: Database,
  input: CreateTask,
  limits: Pick<Quotas, 'maxTasksPerDay'>,
): Promise<Task> {
  const { connectorIds = [], keyProviders = [] } = input
  const created = insertTask(db, input, limits)
  if (connectorIds.length === 0 && keyProviders.length === 0) {
    return toTask(await created.executeTakeFirstOrThrow())
  }
  const row = await db
    .with('created', () => created)
    .with('usableConnectors', query =>
      query
        .insertInto('app.taskConnectors')
        .columns(['taskId', 'connectorId'])
        .expression(query =>
          query
            .selectFrom('created')
            .select(['id', sql<string>`unnest(${connectorIds}::uuid[])`.as('connectorId')]),
        ),
    )
    .with('usableKeys', query =>
      query
        .insertInto('app.taskKeys')
        .columns(['taskId', 'provider'])
        .expression(query =>
          query
            .selectFrom('created')
            .select(['id', sql<string>`unnest(${keyProviders}::text[])`.as('provider')]),
        ),
    )
    .selectFrom('created')
    .select(COLUMNS)
    .executeTakeFirstOrThrow()
  return toTask(row)
}

function insertTask(db: Database, input: CreateTask, limits: Pick<Quotas, 'maxTasksPerDay'>) {
  return db
    .insertInto('app.tasks')
    .values({
      ...pick(input, CREATED),
      title: input.title ?? titleFrom(input.prompt),
      options: JSON.stringify(input.options ?? {}),
    })
    .returning([...COLUMNS, sql`app.take_quota('tasks', ${limits.maxTasksPerDay})`.as('quota')])
}

export async function getTask(db: Database, id: string): Promise<Task> {
  const row = await db
    .selectFrom('app.tasks')
    .select(COLUMNS)
    .where('id', '=', id)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
  if (!row) throw notFound('task')
  return toTask(row)
}

/**
 * Returns a page of tasks, newest first. `search` matches words of title and prompt, in web search syntax.
 */
export async function listTasks(db: Database, input: ListTasks): Promise<Page<Task>> {
  let query = db
    .selectFrom('app.tasks')
    .select(COLUMNS)
    .orderBy('id', 'desc')
    .limit(input.limit + 1)
  const deleted = deletedOperator(input.deleted)
  if (deleted) query = query.where('deletedAt', deleted, null)
  if (input.status) query = query.where('status', '=', input.status)
  if (input.cursor) query = query.where('id', '<', input.cursor)
  if (input.search?.trim()) {
    // A subquery parses the search once, not once a row.
    query = query.where(sql<boolean>`search @@ (select app.search_query(${input.search}))`)
  }
  const rows = await query.execute()
  return toPage(rows.map(toTask), input.limit, task => task.id)
}

/** Updates the given fields only; a pull request is replaced as a whole. */
export async function updateTask(db: Database, input: UpdateTask): Promise<Task> {
  const { id, pullRequest, ...fields } = input
  const changes = pullRequest
    ? {
        ...fields,
        prUrl: pullRequest.url,
        prNumber: pullRequest.number,
        prStatus: pullRequest.status,
        prMergeCommitSha: pullRequest.mergeCommitSha ?? null,
      }
    : fields
  if (Object.values(changes).every(value => value === undefined)) return getTask(db, id)
  const row = await db
    .updateTable('app.tasks')
    .set(changes)
    .where('id', '=', id)
    .where('deletedAt', 'is', null)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('task')
  return toTask(row)
}

export function stopTask(db: Database, id: string): Promise<Task> {
  return transitionTask(db, id, 'stop', { status: 'stopped', completedAt: sql<Date>`now()` })
}

/** Makes an ended task pending again. Its logs continue with the next number. */
export function retryTask(db: Database, id: string): Promise<Task> {
  return transitionTask(db, id, 'retry', {
    status: 'pending',
    progress: 0,
    error: null,
    result: null,
    startedAt: null,
    completedAt: null,
  })
}

/** Hides a task. Its logs and messages are read through a join with it, so they are hidden too. */
export function removeTask(db: Database, id: string): Promise<Task> {
  return transitionTask(db, id, 'remove', REMOVED)
}

export function restoreTask(db: Database, id: string): Promise<Task> {
  return transitionTask(db, id, 'restore', RESTORED)
}

type TaskChanges = UpdateObject<DB, 'app.tasks'>

async function transitionTask(
  db: Database,
  id: string,
  action: TaskAction,
  changes: TaskChanges,
): Promise<Task> {
  const row = await db
    .updateTable('app.tasks')
    .set(changes)
    .where('id', '=', id)
    .where('status', 'in', TASK_TRANSITIONS[action].from)
    .where('deletedAt', action === 'restore' ? 'is not' : 'is', null)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (row) return toTask(row)
  throw await refusal(db, id, action)
}

/** Explains why no row changed: the task does not exist, or its status does not allow the action. */
async function refusal(db: Database, id: string, action: TaskAction): Promise<AppError> {
  const task = await db
    .selectFrom('app.tasks')
    .select(['status', 'deletedAt'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (!task || (task.deletedAt && action !== 'restore')) return notFound('task')
  const state = action === 'restore' ? `${task.status} and not removed` : task.status
  return new AppError('illegal_transition', `cannot ${action} task "${id}": it is ${state}`)
}

export function toTask(row: TaskRow): Task {
  const pullRequest = row.prUrl === null ? null : toPullRequest(row, row.prUrl)
  return Object.assign(pick(row, SHOWN), { options: row.options as TaskOptions, pullRequest })
}

function toPullRequest(row: TaskRow, url: string): PullRequest {
  return {
    url,
    number: row.prNumber,
    status: row.prStatus,
    mergeCommitSha: row.prMergeCommitSha,
  }
}

/** Returns the first line of a prompt; a long one is cut at a word. */
function titleFrom(prompt: string): string {
  const line = prompt.trim().split(/\r?\n/, 1)[0]?.trim() ?? ''
  const characters = [...line]
  if (characters.length <= 80) return line
  const cut = characters.slice(0, 79).join('')
  const lastSpace = cut.lastIndexOf(' ')
  return `${lastSpace > 40 ? cut.slice(0, lastSpace) : cut}…`
}
