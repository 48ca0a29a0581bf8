import { createServer } from 'node:net'
import fastify from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import { listen } from './listen.ts'

function open() {
  const app = fastify()
  onTestFinished(() => app.close())
  return app
}

test('a server says where it listens', async () => {
  expect(await listen(open(), { host: '127.0.0.1', port: 0 })).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
})

test('a port that is taken is refused as PORT, with an example', async () => {
  const other = createServer()
  onTestFinished(() => void other.close())
  const port = await new Promise<number>(resolve => {
    other.listen(0, '127.0.0.1', () => {
      const address = other.address()
      resolve(typeof address === 'object' && address ? address.port : 0)
    })
  })
  await expect(listen(open(), { host: '127.0.0.1', port })).rejects.toMatchObject({
    message: `PORT ${port} of 127.0.0.1 is in use by another process: stop it, or choose another. Example: PORT=3001`,
    cause: { code: 'EADDRINUSE' },
  })
})

const refusal = (host: string) => `HOST "${host}" is no address of this machine. Example: HOST=127.0.0.1`

test('an address of another machine is refused as HOST, with an example', async () => {
  const host = '192.0.2.1'
  await expect(listen(open(), { host, port: 0 })).rejects.toThrow(refusal(host))
})

test.each(['ENOTFOUND', 'EAI_AGAIN'])(
  'a name without an address (%s) is refused as HOST, too',
  async code => {
    const [app, host] = [open(), 'no-such-host.invalid']
    // In the resolver's place: what it says of a name depends on the machine.
    app.listen = () => Promise.reject(Object.assign(new Error(`getaddrinfo ${code} ${host}`), { code }))
    await expect(listen(app, { host, port: 0 })).rejects.toMatchObject({
      message: refusal(host),
      cause: { code },
    })
  },
)
