import { AppError } from '#server/rpc/errors.ts'

const MAX_FOR_A_USER = 4
const MAX_IN_PROCESS = 32

const running = new Map<string, number>()
let total = 0

/**
 * Counts a running test until the returned function is called: each uses memory, connections and perhaps a
 * process.
 */
export function takeTurn(userId: string): () => void {
  const own = running.get(userId) ?? 0
  if (own >= MAX_FOR_A_USER || total >= MAX_IN_PROCESS)
    throw new AppError('rate_limited', 'too many connectors are being tested: try again later')
  running.set(userId, own + 1)
  total++
  return () => {
    total--
    const left = (running.get(userId) ?? 1) - 1
    if (left > 0) running.set(userId, left)
    else running.delete(userId)
  }
}
