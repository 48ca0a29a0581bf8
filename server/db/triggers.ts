import { TRIGGERS } from './trigger-list.ts'

/** A trigger of the schema, as its catalog entry and its comment describe it. */
export interface TriggerMetadata {
  readonly name: string
  /** `app.content` */
  readonly table: string
  readonly timing: 'before' | 'after'
  readonly events: readonly ('insert' | 'update' | 'delete')[]
  /** The function that it runs: `app.touch_updated_at` */
  readonly function: string
  /** What it does, and when. */
  readonly description: string
  /** Why the database does it, and not whoever writes the statement. */
  readonly businessReason: string
}

/** Undefined where there is no trigger of this name. */
export function getTriggerMetadata(name: string): TriggerMetadata | undefined {
  return TRIGGERS.find(trigger => trigger.name === name)
}

/** The triggers of a table such as `app.content`; the schema may be left out. */
export function getTriggersForTable(table: string): TriggerMetadata[] {
  return TRIGGERS.filter(trigger => trigger.table === table || trigger.table.split('.')[1] === table)
}

export function getAllTriggerNames(): string[] {
  return TRIGGERS.map(trigger => trigger.name)
}
