import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { formatConnectionUrl, parseConnectionUrl } from '#server/postgres/connection-url.ts'

/** A network between a server and its Postgres that can be slow, and can start to drop everything. */
export interface Network extends AsyncDisposable {
  /** The same URL through the network. All URLs must name the same server. */
  through(url: string): string
  /** Delays each answer of Postgres from now on. */
  delay(ms: number): void
  /** Accepts connections from now on, but forwards nothing. */
  swallow(): void
}

export async function startNetwork(targetUrl: string): Promise<Network> {
  const { host, port } = parseConnectionUrl(targetUrl)
  const sockets = new Set<Socket>()
  let delayMs = 0
  let isSwallowing = false
  const proxy = createServer(near => {
    const far = connect(port, host)
    for (const socket of [near, far]) {
      sockets.add(socket.setNoDelay())
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', chunk => {
      if (!isSwallowing) far.write(chunk)
    })
    far.on('data', chunk => {
      setTimeout(() => {
        if (!isSwallowing) near.write(chunk)
      }, delayMs)
    })
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address() as AddressInfo
  return {
    through(url) {
      const parts = parseConnectionUrl(url)
      if (parts.host !== host || parts.port !== port) throw new Error('the URL names another server')
      return formatConnectionUrl({ ...parts, host: '127.0.0.1', port: address.port })
    },
    delay(ms) {
      delayMs = ms
    },
    swallow() {
      isSwallowing = true
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => proxy.close(resolve))
    },
  }
}
