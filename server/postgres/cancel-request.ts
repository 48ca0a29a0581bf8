import type { ConnectionPlan } from './connection-plan.ts'
import { Wire } from './wire.ts'

/** The time that the server or pooler has to process the request. */
const PATIENCE_MS = 2_000

export interface Cancellable {
  readonly wire: Wire
  readonly processID: number
  readonly secretKey: number
}

/**
 * Resolves when the server or pooler has processed the request, or the time is over.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function sendCancelRequest(
  { wire: busy, processID, secretKey }: Cancellable,
  plan: ConnectionPlan,
): Promise<void> {
  const wire = new Wire(plan)
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(() => {
    wire.stream.destroy()
    resolve()
  }, PATIENCE_MS).unref()
  wire.on('end', () => {
    clearTimeout(timer)
    resolve()
  })
  wire.on('error', () => {})
  // The server or pooler closes the connection when it has processed the request. A pooler drops the request
  // of a client that closes first.
  wire.connectLike(busy, () => wire.cancel(processID, secretKey))
  return promise
}
