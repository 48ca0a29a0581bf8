import type { Client } from 'pg'

interface TriggerRow {
  readonly name: string
  readonly table: string
  readonly timing: string
  readonly events: readonly string[]
  readonly function: string
  readonly comment: string | null
}

// Bits of pg_trigger.tgtype:
// https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_trigger.h
const SQL = `
select
  t.tgname::text as name,
  format('%I.%I', n.nspname, c.relname) as table,
  case when t.tgtype & 2 > 0 then 'before' else 'after' end as timing,
  array_remove(array[
    case when t.tgtype & 4 > 0 then 'insert' end,
    case when t.tgtype & 16 > 0 then 'update' end,
    case when t.tgtype & 8 > 0 then 'delete' end
  ], null) as events,
  format('%I.%I', fn.nspname, f.proname) as function,
  obj_description(t.oid, 'pg_trigger') as comment
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_proc f on f.oid = t.tgfoid
join pg_namespace fn on fn.oid = f.pronamespace
where not t.tgisinternal and n.nspname = any ($1)
order by n.nspname collate "C", c.relname collate "C", t.tgname collate "C"`

const HEADER = `// Written by \`npm run db:generate\` from the catalog: every trigger, with what its comment says of it.
import type { TriggerMetadata } from './triggers.ts'

export const TRIGGERS: readonly TriggerMetadata[] = [
`

/**
 * Reads the triggers of these schemas. The first paragraph of a comment is the description, the rest the
 * business reason.
 */
export async function generateTriggers(client: Client, schemas: readonly string[]): Promise<string> {
  const { rows } = await client.query<TriggerRow>(SQL, [schemas])
  return `${HEADER}${rows.map(render).join('')}]\n`
}

function render({ comment, events, ...trigger }: TriggerRow): string {
  const [description = '', ...reason] = (comment ?? '').split(/\n\s*\n/).map(inOneLine)
  const entries = Object.entries({ ...trigger, description, businessReason: reason.join(' ') })
  const lines = entries.map(([key, value]) => `    ${key}: ${JSON.stringify(value)},\n`)
  return `  {\n${lines.join('')}    events: ${JSON.stringify(events)},\n  },\n`
}

function inOneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ')
}
