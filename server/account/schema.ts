import { z } from 'zod'
import { id, text } from '../inputs.ts'

export const sessionId = z.strictObject({ id })

/** Without a password, the session itself must be young. */
export const removeAccount = z.strictObject({ password: text(256).min(1).optional() }).prefault({})
