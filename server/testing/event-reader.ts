import { Agent, request } from 'node:http'

/** An event as it was sent. */
interface WireEvent {
  readonly event: string
  readonly id: string | undefined
  readonly data: string
}

export interface EventReaderOptions {
  readonly port: number
  /** The path with its query, such as `/trpc/tasks.logs.stream?input=…`. */
  readonly path: string
  readonly authorization: string
  readonly organizationId?: string | undefined
  readonly lastEventId?: string | undefined
  readonly onEvent?: (event: WireEvent) => void
}

/** One connection that reads a stream of events. */
export interface EventReader {
  readonly events: WireEvent[]
  /** Resolves with the status once headers came, or 0 if none did. */
  readonly opened: Promise<number>
  /** Resolves when the connection has ended; `isWhole` is false for an incomplete body. */
  readonly ended: Promise<{ isWhole: boolean }>
  kill(): void
}

const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })

export function readEvents(options: EventReaderOptions): EventReader {
  const { port, path, authorization, organizationId, lastEventId, onEvent } = options
  const events: WireEvent[] = []
  const opened = Promise.withResolvers<number>()
  const ended = Promise.withResolvers<{ isWhole: boolean }>()
  const headers = {
    accept: 'text/event-stream',
    authorization,
    ...(organizationId === undefined ? {} : { 'x-organization-id': organizationId }),
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
  }
  const req = request({ host: '127.0.0.1', port, path, headers, agent }, res => {
    opened.resolve(res.statusCode ?? 0)
    let rest = ''
    res.setEncoding('utf8')
    res.on('data', (text: string) => {
      const blocks = (rest + text).split('\n\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const event = parseBlock(block)
        events.push(event)
        onEvent?.(event)
      }
    })
    res.on('error', () => {})
    res.on('close', () => ended.resolve({ isWhole: res.complete }))
  })
  req.on('error', () => {
    opened.resolve(0)
    ended.resolve({ isWhole: false })
  })
  req.end()
  return { events, opened: opened.promise, ended: ended.promise, kill: () => req.destroy() }
}

function parseBlock(block: string): WireEvent {
  const fields = new Map(
    block.split('\n').map(line => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)] as const
    }),
  )
  return { event: fields.get('event') ?? 'message', id: fields.get('id'), data: fields.get('data') ?? '' }
}

/** The path of a subscription. */
export function streamPath(procedure: string, input: Record<string, unknown>): string {
  return `/trpc/${procedure}?input=${encodeURIComponent(JSON.stringify({ json: input }))}`
}

export interface FollowOptions extends Omit<EventReaderOptions, 'lastEventId' | 'port'> {
  /** Called before every connection. */
  readonly port: () => number
  /** How long a connection lives before it is killed; undefined to never kill it. */
  readonly lifeMs?: () => number
  readonly signal?: AbortSignal
}

/**
 * Follows a stream as a client that loses connections: each new connection resumes after the last received
 * event. Resolves with the received ids when the server ends the stream; rejects when the server reports a
 * failure.
 */
export async function followToEnd(options: FollowOptions): Promise<{ ids: number[]; connections: number }> {
  const ids: number[] = []
  let connections = 0
  let last: string | undefined
  for (;;) {
    options.signal?.throwIfAborted()
    connections++
    let outcome: 'cut' | 'returned' | Error = 'cut'
    const reader = readEvents({
      ...options,
      port: options.port(),
      lastEventId: last,
      onEvent(event) {
        // Ignores events of a killed connection, as a client that is gone does.
        if (isKilled) return
        options.onEvent?.(event)
        if (event.event === 'return') outcome = 'returned'
        else if (event.event === 'serialized-error') outcome = new Error(event.data)
        else if (event.event === 'message') {
          ids.push(Number(event.id))
          last = event.id
        }
      },
    })
    let isKilled = false
    const timer =
      options.lifeMs &&
      setTimeout(() => {
        isKilled = true
        reader.kill()
      }, options.lifeMs())
    await reader.ended
    clearTimeout(timer)
    const result = outcome as 'cut' | 'returned' | Error
    if (result === 'returned') return { ids, connections }
    // A server that can't reach its database answers so, and is asked again.
    if (result instanceof Error && !/SERVICE_UNAVAILABLE/.test(result.message)) throw result
    await new Promise(resolve => setTimeout(resolve, ids.length === 0 || result instanceof Error ? 50 : 0))
  }
}
