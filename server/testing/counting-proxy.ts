import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { parseConnectionUrl, withHost, withoutTls } from '#server/postgres/connection-url.ts'

/** A proxy between a server and its Postgres that counts round trips. */
export interface CountingProxy {
  /** The same URL through the proxy. All URLs must name the same server. */
  through(url: string): string
  /**
   * Returns all round trips since the last call: the messages sent without waiting for an answer in between,
   * by their types ({@link https://www.postgresql.org/docs/current/protocol-message-formats.html}), such as
   * `PBDES`. Connecting is not counted.
   */
  take(): string[]
  close(): Promise<void>
}

interface RoundTrip {
  messages: string
}

const READY_FOR_QUERY = 'Z'
const TERMINATE = 'X'

export async function startCountingProxy(targetUrl: string): Promise<CountingProxy> {
  const { host, port } = parseConnectionUrl(targetUrl)
  const sockets = new Set<Socket>()
  let trips: RoundTrip[] = []
  const server = createServer(client => {
    const postgres = connect({ host, port })
    for (const socket of [client, postgres]) {
      sockets.add(socket.setNoDelay())
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        postgres.destroy()
      })
    }
    watch(client, postgres, trip => trips.push(trip))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  return {
    through(url) {
      const named = parseConnectionUrl(url)
      if (named.host !== host || named.port !== port) throw new Error('the URL names another server')
      // Without TLS, because the proxy reads the messages.
      return withoutTls(withHost(url, '127.0.0.1', address.port))
    },
    take() {
      const taken = trips.map(({ messages }) => messages)
      trips = []
      return taken
    },
    close: () => close(server, sockets),
  }
}

function watch(client: Socket, postgres: Socket, onTrip: (trip: RoundTrip) => void): void {
  const readQuestion = messageReader()
  const readAnswer = messageReader()
  let isConnected = false
  let trip: RoundTrip | null = null
  postgres.on('data', (chunk: Buffer) => {
    if (!isConnected) isConnected = readAnswer(chunk).includes(READY_FOR_QUERY)
    trip = null
    client.write(chunk)
  })
  client.on('data', (chunk: Buffer) => {
    if (isConnected) {
      const messages = readQuestion(chunk).replaceAll(TERMINATE, '')
      if (trip) trip.messages += messages
      else if (messages !== '') {
        trip = { messages }
        onTrip(trip)
      }
    }
    postgres.write(chunk)
  })
}

const HEADER_BYTES = 5

/**
 * Reads the types of the messages that begin in each chunk: a letter, then the length of the rest, including
 * itself.
 */
function messageReader(): (chunk: Buffer) => string {
  let pending: Buffer = Buffer.alloc(0)
  let skipBytes = 0
  return chunk => {
    let types = ''
    pending = Buffer.concat([pending, chunk])
    while (true) {
      const skipped = Math.min(skipBytes, pending.length)
      pending = pending.subarray(skipped)
      skipBytes -= skipped
      if (pending.length < HEADER_BYTES) return types
      types += pending.toString('latin1', 0, 1)
      skipBytes = 1 + pending.readInt32BE(1)
    }
  }
}

async function close(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise(resolve => server.close(resolve))
  for (const socket of sockets) socket.destroy()
  await closed
}
