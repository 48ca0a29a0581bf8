import type { Server } from 'node:http'

const CHECK_MS = 20
/** The last part of the grace, after idle connections were ended: a proxy that lost one connects again. */
const LINGER_MS = 100

export interface Grace {
  readonly graceMs: number
  /** Where no balancer has to learn of it: there is nobody to wait for once all connections have ended. */
  readonly endsWithLastConnection: boolean
}

/**
 * Goes on accepting while balancers learn that the server is not ready, and while every answer ends its connection: a proxy that
 * keeps connections must not send a request down one that is being closed. What nobody has used meanwhile is ended before the
 * listener is.
 */
export async function letConnectionsEnd(
  server: Server,
  { graceMs, endsWithLastConnection }: Grace,
): Promise<void> {
  if (graceMs <= 0 || !server.listening) return
  const lingerMs = Math.min(LINGER_MS, graceMs / 4)
  const end = Date.now() + graceMs - lingerMs
  while (Date.now() < end) {
    if (endsWithLastConnection && (await countConnections(server)) === 0) return
    await sleep(CHECK_MS)
  }
  server.closeIdleConnections()
  await sleep(lingerMs)
}

/** Waits for the server's connections to end, closing those that fall idle, and all of them at the deadline. */
export async function finishConnections(
  server: Server,
  closed: PromiseLike<unknown>,
  deadlineMs: number,
): Promise<void> {
  const closingIdle = setInterval(() => server.closeIdleConnections(), CHECK_MS)
  const closingAll = setTimeout(() => server.closeAllConnections(), deadlineMs)
  try {
    await closed
  } finally {
    clearInterval(closingIdle)
    clearTimeout(closingAll)
  }
}

function countConnections(server: Server): Promise<number> {
  return new Promise(resolve => server.getConnections((_error, count) => resolve(count ?? 0)))
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
