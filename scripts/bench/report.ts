import type { Measurement } from './measure.ts'
import { OPERATION_NAMES, type Operation } from './operations.ts'
import { VARIANTS, type Variant } from './servers.ts'

/** Resident memory of our server's process. */
export interface Memory {
  readonly idleBytes: number | null
  readonly loadedBytes: number | null
}

function inOrder(measurements: readonly Measurement[]): Measurement[] {
  return measurements
    .filter(({ subject }) => !subject.isComparison)
    .toSorted(
      (a, b) =>
        OPERATION_NAMES.indexOf(a.operation) - OPERATION_NAMES.indexOf(b.operation) ||
        VARIANTS.indexOf(a.subject.variant) - VARIANTS.indexOf(b.subject.variant),
    )
}

/** The output of `--json`: an array of measurements. */
export function toJson(measurements: readonly Measurement[]): string {
  const rows = inOrder(measurements).map(({ subject, operation, requestsPerSecond, p50Ms, p99Ms }) => ({
    variant: subject.variant,
    operation,
    requestsPerSecond: round(requestsPerSecond, 1),
    p50Ms: round(p50Ms, 3),
    p99Ms: round(p99Ms, 3),
  }))
  return JSON.stringify(rows, null, 2)
}

const HEADER = [
  'operation',
  'variant',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'p99/p50',
  'of the limit',
  '× usual',
]

export function toTable(measurements: readonly Measurement[]): string {
  const shown = inOrder(measurements)
  const rows = shown.map(measurement => {
    const { subject, operation, requestsPerSecond, p50Ms, p99Ms } = measurement
    const limit = find(shown, 'limit', operation)
    const usual = find(shown, 'usual', operation)
    return [
      operation,
      subject.variant,
      requestsPerSecond.toFixed(0),
      p50Ms.toFixed(2),
      p99Ms.toFixed(2),
      (p99Ms / p50Ms).toFixed(1),
      limit ? (requestsPerSecond / limit.requestsPerSecond).toFixed(2) : '',
      usual ? (requestsPerSecond / usual.requestsPerSecond).toFixed(2) : '',
    ]
  })
  return layOut([HEADER, ...rows])
}

/** Compares our server's time per call on the small and the large dataset; null unless both were measured. */
export function flatnessTable(measurements: readonly Measurement[]): string | null {
  const rows = measurements.flatMap(large => {
    if (large.subject.variant !== 'rowhouse' || large.subject.isComparison) return []
    const small = measurements.find(
      other => other.subject.isComparison && other.operation === large.operation,
    )
    if (!small) return []
    const perCallMs = ({ requestsPerSecond }: Measurement) => 1000 / requestsPerSecond
    return [
      [
        large.operation,
        perCallMs(small).toFixed(3),
        perCallMs(large).toFixed(3),
        (perCallMs(large) / perCallMs(small)).toFixed(2),
      ],
    ]
  })
  if (rows.length === 0) return null
  return layOut([['operation', 'small: ms per call', 'large: ms per call', 'growth'], ...rows])
}

export function memoryLine({ idleBytes, loadedBytes }: Memory): string {
  const megabytes = (bytes: number | null) => (bytes === null ? 'not known' : `${round(bytes / 1e6, 0)} MB`)
  return `memory of our server's process: ${megabytes(idleBytes)} idle, ${megabytes(loadedBytes)} after the load`
}

function find(measurements: readonly Measurement[], variant: Variant, operation: Operation) {
  return measurements.find(other => other.subject.variant === variant && other.operation === operation)
}

function layOut(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0))) ?? []
  return rows
    .map(row =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0
          return Number.isNaN(Number.parseFloat(cell)) ? cell.padEnd(width) : cell.padStart(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
