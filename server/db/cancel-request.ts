import pg from 'pg'

/** How long the other side has to deal with the request. */
const PATIENCE_MS = 2_000

/** The parts of pg's connection that a cancel request takes; it is sent in place of a start-up message. */
interface CancelWire extends NodeJS.EventEmitter {
  readonly ssl: unknown
  readonly stream: { destroy(): void }
  connect(portOrPath: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
}

export interface Cancellable {
  readonly host: string
  readonly port: number
  readonly processID: number
  readonly secretKey: number
}

/**
 * Resolves when the other side has dealt with the request, or had its time to.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function sendCancelRequest(
  { host, port, processID, secretKey }: Cancellable,
  config: pg.ClientConfig,
): Promise<void> {
  const { connection: wire } = new pg.Client(config) as unknown as { connection: CancelWire }
  // The other side ends the connection when it has dealt with the request. A pooler forgets the request of who leaves first.
  const send = () => wire.cancel(processID, secretKey)
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
  wire.on('connect', () => (wire.ssl ? wire.requestSsl() : send()))
  wire.on('sslconnect', send)
  if (host.startsWith('/')) wire.connect(`${host}/.s.PGSQL.${port}`)
  else wire.connect(port, host)
  return promise
}
