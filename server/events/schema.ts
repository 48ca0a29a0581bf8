import { z } from 'zod'
import { PROVIDERS } from '../connections/schema.ts'
import { id, page } from '../inputs.ts'
import { EVENT_STATUSES } from './state.ts'

export const eventId = z.strictObject({ id })

export const listEvents = z.strictObject({
  provider: z.enum(PROVIDERS).optional(),
  status: z.enum(EVENT_STATUSES).optional(),
  ...page(id),
})

export type ListEvents = z.output<typeof listEvents>
