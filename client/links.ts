import { httpBatchLink, httpSubscriptionLink, splitLink, type TRPCLink } from '@trpc/client'
import { observable } from '@trpc/server/observable'
import superjson from 'superjson'
import type { AppRouter } from '#server/rpc/router.ts'
import { type Connection, originOf, readJson } from './connection.ts'
import { NoAnswerError, toRowhouseError } from './errors.ts'
import { FetchEventSource, unwrapFailure } from './event-source.ts'

/** The server refuses longer batches. */
const MAX_BATCH_SIZE = 20
/** Most proxies accept request lines of 8 kB. */
const MAX_URL_LENGTH = 7_500

/**
 * Sends calls in batches and subscriptions by server-sent events, and turns every failure into a
 * RowhouseError.
 */
export function createLinks(connection: Connection): TRPCLink<AppRouter>[] {
  const url = `${connection.baseUrl}/trpc`
  return [
    errorLink,
    splitLink({
      condition: op => op.type === 'subscription',
      true: httpSubscriptionLink({
        url,
        transformer: superjson,
        EventSource: FetchEventSource,
        eventSourceOptions: { connection },
      }),
      false: httpBatchLink({
        url,
        transformer: superjson,
        maxItems: MAX_BATCH_SIZE,
        maxURLLength: MAX_URL_LENGTH,
        headers: () => connection.headers(),
        fetch: (target, init) => answerOf(connection, String(target), init as RequestInit),
      }),
    }),
  ]
}

/** Reads the whole answer at once, to distinguish a failed transfer from an error of the server. */
async function answerOf(connection: Connection, url: string, init: RequestInit) {
  const response = await connection.fetch(url, init)
  const body = await readJson(response)
  if (!(Array.isArray(body) ? body : [body]).every(isAnswer)) {
    const message = `${originOf(url)} answered ${response.status}, but not like a Rowhouse server: check the URL`
    throw new NoAnswerError(message, { response })
  }
  const { ok, status, headers } = response
  return { ok, status, headers, json: async () => body }
}

function isAnswer(value: unknown): boolean {
  return typeof value === 'object' && value !== null && ('result' in value || 'error' in value)
}

const errorLink: TRPCLink<AppRouter> = () => {
  return ({ op, next }) =>
    observable(observer => {
      const { path, signal } = op
      const translate = (error: unknown) => toRowhouseError(unwrapFailure(error), { path, signal })
      const fail = (error: unknown) => observer.error(translate(error))
      // The batch continues for its other calls; an aborted call does not wait for it.
      const leave = () => fail(signal?.reason)
      if (signal?.aborted) {
        leave()
        return
      }
      signal?.addEventListener('abort', leave, { once: true })
      const subscription = next(op).subscribe({
        next(envelope) {
          const { result } = envelope
          if (result.type === 'state' && result.error) {
            observer.next({ ...envelope, result: { ...result, error: translate(result.error) } })
          } else {
            observer.next(envelope)
          }
        },
        error: fail,
        complete: () => observer.complete(),
      })
      return () => {
        signal?.removeEventListener('abort', leave)
        subscription.unsubscribe()
      }
    })
}
