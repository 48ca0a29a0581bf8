import { TRIGGERS } from './trigger-list.ts'

/** A trigger of the schema, from its catalog entry and its comment. */
export interface TriggerMetadata {
  readonly name: string
  /** `app.content` */
  readonly table: string
  readonly timing: 'before' | 'after'
  readonly events: readonly ('insert' | 'update' | 'delete')[]
  /** Its function: `app.touch_updated_at` */
  readonly function: string
  readonly description: string
  /** Why the database does it, and not the statement's author. */
  readonly businessReason: string
}

/** Undefined if no trigger has this name. */
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
