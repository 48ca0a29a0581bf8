import { TRPCError } from '@trpc/server'
import { AppError, type Reason } from '#server/rpc/errors.ts'

export interface Refusal {
  code: TRPCError['code']
  reason: Reason | undefined
  message: string
}

/** The refusal of a call. Throws if the call succeeded or failed unexpectedly. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => new Error('the call was not refused'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof TRPCError) || error.code === 'INTERNAL_SERVER_ERROR') throw error
  const reason = error.cause instanceof AppError ? error.cause.reason : undefined
  return { code: error.code, reason, message: error.message }
}

/** The reason of a refusal, or its code if it has no reason. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  const { reason, code } = await refusalOf(call)
  return reason ?? code
}
