import { type ConfigReader, wholeNumber } from './reader.ts'

/** What a user may do in a UTC day where the operator says nothing; docs/operating.md names the same. */
const DEFAULTS = { maxTasksPerDay: 500, maxMessagesPerDay: 2_000 }

export type Quotas = Readonly<typeof DEFAULTS>

export function readQuotas(reader: ConfigReader): Quotas {
  return {
    maxTasksPerDay: readLimit(reader, 'MAX_TASKS_PER_DAY') ?? DEFAULTS.maxTasksPerDay,
    maxMessagesPerDay: readLimit(reader, 'MAX_MESSAGES_PER_DAY') ?? DEFAULTS.maxMessagesPerDay,
  }
}

export function readLimit(reader: ConfigReader, name: string): number | undefined {
  return reader.read(name, {
    schema: wholeNumber(1, 1_000_000_000),
    must: 'a whole number above 0',
    example: '500',
  })
}
