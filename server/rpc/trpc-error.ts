import { TRPCError } from '@trpc/server'
import { AppError } from './errors.ts'

/** Gives an expected failure its code. Anything else is answered as internal. */
export function toTRPCError(error: unknown): TRPCError {
  if (error instanceof TRPCError) return error
  if (error instanceof AppError) {
    return new TRPCError({ code: error.code, message: error.message, cause: error })
  }
  return new TRPCError({ code: 'INTERNAL_SERVER_ERROR', cause: error })
}
