import { TRPCError } from '@trpc/server'
import { AppError, type Reason } from '#server/rpc/errors.ts'

export interface Refusal {
  code: TRPCError['code']
  reason: Reason | undefined
  message: string
}

/** What a call was refused with. Throws where it was answered, or failed as nobody expects. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => new Error('the call was not refused'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof TRPCError) || error.code === 'INTERNAL_SERVER_ERROR') throw error
  const reason = error.cause instanceof AppError ? error.cause.reason : undefined
  return { code: error.code, reason, message: error.message }
}

/** Why a call was refused: the reason, or the code where there is none. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  const { reason, code } = await refusalOf(call)
  return reason ?? code
}
