// Accounts with more rows than a removal deletes before it answers.
import { setTimeout as sleep } from 'node:timers/promises'
import { createEraser } from '#server/system/eraser.ts'
import type { Actor, House } from '#server/testing/actors.ts'

/** Creates tasks, each with this many log lines, perhaps shared with an organization. */
export async function addTasks(
  { house, userId }: Pick<Actor, 'house' | 'userId'>,
  {
    tasks,
    logs = 0,
    organizationId = null,
  }: { tasks: number; logs?: number; organizationId?: string | null },
): Promise<void> {
  await house.owner.query(
    `with made as (
       insert into app.tasks (user_id, organization_id, title, prompt, last_log_seq)
       select $1, $2, 'task ' || n, 'one of many', $4 from generate_series(1, $3::int) n returning user_id, id
     )
     insert into app.task_logs (user_id, task_id, seq, type, message)
     select made.user_id, made.id, n, 'info', 'line ' || n from made, generate_series(1, $4::int) n`,
    [userId, organizationId, tasks, logs],
  )
}

/** Lists the tables that still have rows with this user's id. */
export async function rowsOf({ owner }: Pick<House, 'owner'>, userId: string): Promise<string[]> {
  const { rows } = await owner.query<{ table: string; column: string }>(
    `select format('%I.%I', table_schema, table_name) as table, column_name as column
     from information_schema.columns
     where table_schema in ('app', 'auth') and column_name in ('user_id', 'inviter_id', 'decided_by')`,
  )
  const left: string[] = []
  for (const { table, column } of rows) {
    const { rowCount } = await owner.query(`select from ${table} where ${column} = $1 limit 1`, [userId])
    if (rowCount) left.push(table)
  }
  return left
}

export async function countRows(
  { owner }: Pick<House, 'owner'>,
  table: string,
  userId: string,
): Promise<number> {
  const { rows } = await owner.query(`select count(*)::int as count from ${table} where user_id = $1`, [
    userId,
  ])
  return rows[0].count
}

export async function openErasures({ owner }: Pick<House, 'owner'>): Promise<number> {
  const { rows } = await owner.query(
    'select count(*)::int as count from app.erasures where finished_at is null',
  )
  return rows[0].count
}

/** Runs an eraser until nothing is left to delete. */
export async function eraseEverything(house: House): Promise<void> {
  const eraser = createEraser(house.services)
  eraser.wake()
  try {
    while ((await openErasures(house)) > 0) await sleep(50)
  } finally {
    await eraser.stop()
  }
}
