import type pg from 'pg'
import type { Logger } from '#server/app/logger.ts'
import { recurringFailure, toError } from '#server/app/recurring-failure.ts'
import { isPgbouncer } from '#server/postgres/connection-url.ts'
import { PostgresClient, toPgConfig } from '#server/postgres/postgres-client.ts'
import { CHANNEL, fromPayload } from './topics.ts'

export interface Listener {
  /** Connects, unless it has. */
  start(): void
  close(): Promise<void>
}

export interface ListenerOptions {
  /** A URL that leads past poolers; null or a pooler's: nothing is heard, and readers depend on their poll. */
  readonly url: string | null
  /** Not told of what it sent itself. */
  readonly ownSender: string
  readonly onNews: (pseudonyms: readonly string[]) => void
  /** Listening (again): what was said before went unheard. */
  readonly onListening: () => void
  readonly log: Pick<Logger, 'info' | 'warn'>
}

const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 5_000

/** Keeps one connection that listens for all readers of this process, and makes another when it is lost. */
export function createListener(options: ListenerOptions): Listener {
  const { url, log } = options
  let client: pg.Client | undefined
  let retry: NodeJS.Timeout | undefined
  let failures = 0
  let isStarted = false
  let isClosed = false
  const failure = recurringFailure({ log, message: 'the connection that listens for news was lost' })

  async function connect(address: string): Promise<void> {
    const next = new PostgresClient({
      ...toPgConfig(address),
      application_name: 'rowhouse listener',
      connectionTimeoutMillis: 5_000,
    })
    client = next
    let isLost = false
    const onLost = (error?: Error) => {
      if (isLost) return
      isLost = true
      next.end().catch(() => {})
      if (client !== next || isClosed) return
      client = undefined
      const delayMs = Math.min(FIRST_RETRY_MS * 2 ** failures++, LAST_RETRY_MS) * (0.5 + Math.random() / 2)
      retry = setTimeout(() => void connect(address), delayMs).unref()
      failure.failed(error)
    }
    next.on('error', onLost)
    next.on('end', () => onLost())
    next.on('notification', ({ payload = '' }) => {
      const { sender, pseudonyms } = fromPayload(payload)
      if (sender !== options.ownSender) options.onNews(pseudonyms)
    })
    try {
      await next.connect()
      await next.query(`listen ${CHANNEL}`)
      failures = 0
      failure.worked()
      options.onListening()
    } catch (error) {
      onLost(toError(error))
    }
  }

  return {
    start() {
      if (isStarted || isClosed) return
      isStarted = true
      if (url === null || isPgbouncer(url)) {
        log.warn('no URL leads past the pooler: streams find their events by asking once a second')
      } else {
        void connect(url)
      }
    },
    async close() {
      isClosed = true
      clearTimeout(retry)
      await client?.end().catch(() => {})
    },
  }
}
