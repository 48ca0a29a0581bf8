import { MigrationError } from './errors.ts'
import type { MigrationFile } from './file.ts'
import type { AppliedMigration } from './ledger.ts'

/** The target of a run. */
export type Target =
  | { kind: 'next' }
  | { kind: 'latest' }
  | { kind: 'previous' }
  | { kind: 'nothing' }
  | { kind: 'batch' }
  | { kind: 'to'; name: string }

export interface Step {
  direction: 'up' | 'down'
  file: MigrationFile
}

/** Plans the steps from the applied migrations to the target. Expects a history without problems. */
export function planSteps(files: MigrationFile[], applied: AppliedMigration[], target: Target): Step[] {
  const rows = new Map(applied.map(row => [row.name, row]))
  const half = applied.find(row => row.state === 'reverting')
  const isUndone = (file: MigrationFile) => rows.get(file.name)?.state !== 'applied'
  const up = files.filter(isUndone).map((file): Step => ({ direction: 'up', file }))
  const down = files
    .filter(file => rows.has(file.name))
    .reverse()
    .map((file): Step => ({ direction: 'down', file }))
  const upwards = (steps: Step[]) => {
    if (half && steps.length > 0) {
      throw new MigrationError(
        'half_reverted',
        `${half.name} is partly undone (${half.statementsDone} statements of its down part are done): run down first`,
      )
    }
    return steps
  }
  switch (target.kind) {
    case 'next':
      return upwards(up.slice(0, 1))
    case 'latest':
      return upwards(up)
    case 'previous':
      return down.slice(0, 1)
    case 'nothing':
      return down
    case 'batch': {
      const newest = Math.max(...applied.map(row => row.batch))
      return down.filter(step => rows.get(step.file.name)?.batch === newest)
    }
    case 'to': {
      const index = findFile(files, target.name)
      const wanted = files[index]
      if (wanted && isUndone(wanted)) return upwards(up.filter(step => files.indexOf(step.file) <= index))
      return down.filter(step => files.indexOf(step.file) > index)
    }
  }
}

/** Finds a migration by its full name, with or without `.sql`, or by its number. */
function findFile(files: MigrationFile[], name: string): number {
  const stem = name.replace(/^.*[/\\]/, '').replace(/\.sql$/, '')
  const index = files.findIndex(
    file => file.name === stem || (/^\d+$/.test(stem) && Number.parseInt(file.name, 10) === Number(stem)),
  )
  if (index >= 0) return index
  throw new MigrationError(
    'unknown_migration',
    `there is no migration "${name}"; there ${files.length === 0 ? 'are none' : `are ${files.map(file => file.name).join(', ')}`}`,
  )
}
