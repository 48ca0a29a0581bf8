import { z } from 'zod'

const usage = z.strictObject({ used: z.int(), limit: z.int() })

export const usageToday = z.strictObject({
  tasks: usage,
  messages: usage,
  /** Midnight UTC, when the counters reset. */
  resetsAt: z.date(),
})

export type UsageToday = z.output<typeof usageToday>
