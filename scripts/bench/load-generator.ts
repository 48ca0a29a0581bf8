// Runs in its own process: sends the requests of one operation over a few connections, each waiting for its
// answer, and reports the latencies.
import { bodyText, KeepAliveClient } from './keep-alive-client.ts'
import { buildRequests, checkAnswer, type Operation, type Target } from './operations.ts'

export interface Round {
  readonly target: Target
  readonly port: number
  readonly operation: Operation
  readonly connections: number
  readonly durationMs: number
}

export interface RoundResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly error?: undefined
}

export type RoundReply = RoundResult | { readonly error: string }

/** Answers before this are not counted: the server was idle until now. */
const LEAD_MS = 250
const ANSWER_TIMEOUT_MS = 10_000

const built = new Map<string, Buffer[]>()

function requestsOf({ operation, target }: Round): Buffer[] {
  const key = JSON.stringify([operation, target])
  let requests = built.get(key)
  if (!requests) {
    requests = buildRequests(operation, target)
    built.set(key, requests)
  }
  return requests
}

let nextRequest = 0

function run(round: Round): Promise<RoundResult> {
  const requests = requestsOf(round)
  const latenciesMs: number[] = []
  const sentAt = new Map<KeepAliveClient, number>()
  let isChecked = false
  return new Promise((resolve, reject) => {
    const startsAt = performance.now() + LEAD_MS
    const endsAt = startsAt + round.durationMs
    const deadline = setTimeout(
      () => settle(new Error(`${round.operation} received no answer in time`)),
      LEAD_MS + round.durationMs + ANSWER_TIMEOUT_MS,
    )
    const send = (client: KeepAliveClient) => {
      const request = requests[nextRequest++ % requests.length] as Buffer
      sentAt.set(client, performance.now())
      client.send(request)
    }
    const settle = (error?: unknown) => {
      clearTimeout(deadline)
      for (const client of clients) client.close()
      if (error) reject(error)
      else resolve(summarize(latenciesMs, round.durationMs))
    }
    let open = round.connections
    const clients = Array.from(
      { length: round.connections },
      () =>
        new KeepAliveClient({
          port: round.port,
          onError: settle,
          onAnswer(client, read) {
            const now = performance.now()
            const answer = read()
            try {
              if (answer.status !== 200)
                throw new Error(`${answer.head.slice(0, 15)}: ${bodyText(answer).slice(0, 300)}`)
              if (!isChecked) checkAnswer(round.operation, bodyText(answer))
              isChecked = true
            } catch (error) {
              settle(error)
              return
            }
            if (now >= startsAt && now < endsAt) latenciesMs.push(now - (sentAt.get(client) ?? now))
            if (now < endsAt) send(client)
            else if (--open === 0) settle()
          },
        }),
    )
    for (const client of clients) send(client)
  })
}

function summarize(latenciesMs: number[], durationMs: number): RoundResult {
  const sorted = Float64Array.from(latenciesMs).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { requestsPerSecond: (sorted.length * 1000) / durationMs, p50Ms: at(0.5), p99Ms: at(0.99) }
}

process.on('message', (round: Round) => {
  run(round).then(
    result => process.send?.(result),
    error => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  )
})
process.on('disconnect', () => process.exit())
