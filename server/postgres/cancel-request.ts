import type { ConnectionPlan } from './connection-plan.ts'
import { Wire } from './wire.ts'

/** How long the other side has to deal with the request. */
const PATIENCE_MS = 2_000

export interface Cancellable {
  readonly wire: Wire
  readonly processID: number
  readonly secretKey: number
}

/**
 * Resolves when the other side has dealt with the request, or had its time to.
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
  // The other side ends the connection when it has dealt with the request. A pooler forgets the request of
  // who leaves first.
  wire.connectLike(busy, () => wire.cancel(processID, secretKey))
  return promise
}
