import type { Actor, House } from '#server/testing/actors.ts'
import { streamExport } from './export.ts'

/** One line of an export. */
export interface Line {
  table: string
  row: Record<string, unknown>
}

export const readLines = (text: string): Line[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))

export const rowsIn = (lines: readonly Line[], table: string) =>
  lines.filter(line => line.table === table).map(line => line.row)

/** The token in the URL of a new export. */
export async function exportTokenOf(actor: Actor): Promise<string> {
  const { url } = await actor.caller().account.export()
  return url.slice(url.lastIndexOf('/') + 1)
}

export async function readExportOf(actor: Actor): Promise<{ text: string; lines: Line[]; chunks: string[] }> {
  const stream = await streamExport(actor.house.services, await exportTokenOf(actor))
  if (!stream) throw new Error('the export was refused')
  const chunks = await Array.fromAsync(stream)
  const text = chunks.join('')
  return { text, chunks, lines: readLines(text) }
}

/** The number of connections of the API's pool that are in use. */
export function busyConnections({ services }: House): number {
  const { total, idle } = services.pools.usage().api
  return total - idle
}

/** Creates a task with this many log lines; returns its id. */
export async function addLogs(actor: Actor, count: number, message = 'a line'): Promise<string> {
  const { id: taskId } = await actor.caller().tasks.create({ prompt: 'log a lot' })
  await actor.house.owner.query(
    `insert into app.task_logs (user_id, task_id, seq, type, message)
     select $1, $2, seq, 'info', $4 from generate_series(1, $3::integer) seq`,
    [actor.userId, taskId, count, message],
  )
  return taskId
}
