import { isOver, type Limits, type Measurement } from './measure.ts'

export interface GroupResult {
  readonly measurement: Measurement
  readonly isOver: boolean
}

/** The measurement of each group that is closest to or furthest over a limit, worst first. */
export function worstOfGroups(measurements: readonly Measurement[], limits: Limits): GroupResult[] {
  const badness = ({ cost, msPerKb }: Measurement) =>
    Math.max(msPerKb / limits.msPerKb, cost.blockMs / limits.blockMs)
  const worst = new Map<string, Measurement>()
  for (const measurement of measurements) {
    const known = worst.get(measurement.group)
    if (known === undefined || badness(measurement) > badness(known))
      worst.set(measurement.group, measurement)
  }
  return [...worst.values()]
    .sort((a, b) => badness(b) - badness(a))
    .map(measurement => ({ measurement, isOver: isOver(measurement, limits) }))
}

export function toTable(results: readonly GroupResult[]): string {
  const head = ['', 'group', 'kB', 'ms', 'ms/kB', 'block ms', 'growth', 'attack']
  const rows = results.map(({ measurement: { group, name, sizeBytes, cost, msPerKb, growth }, isOver }) => [
    isOver ? 'OVER' : '',
    group,
    (sizeBytes / 1_000).toFixed(0),
    cost.cpuMs.toFixed(0),
    msPerKb.toFixed(2),
    cost.blockMs.toFixed(0),
    growth.toFixed(1),
    name,
  ])
  const table = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...table.map(row => row[column]?.length ?? 0)))
  const isText = (column: number) => column < 2 || column === head.length - 1
  return table
    .map(row =>
      row
        .map((cell, column) =>
          isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
