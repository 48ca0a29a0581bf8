import { expect, test } from 'vitest'
import { answers, flood, type Handler, serveHttp } from '#server/testing/mcp/http-server.ts'
import { createOutgoingFetch, type OutgoingOptions } from './outgoing-fetch.ts'

const hello = answers(200, { 'content-type': 'text/plain', 'x-name': 'hello' }, 'hello')

async function ask(url: string, options: Partial<OutgoingOptions> = {}, init?: RequestInit): Promise<string> {
  const outgoing = createOutgoingFetch({ allowPrivate: false, deadlineMs: 20_000, ...options })
  try {
    const response = await outgoing.fetch(url, init)
    return `${response.status} ${await response.text()}`
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } finally {
    await outgoing.close()
  }
}

const drip: Handler = (_request, response) => {
  const timer = setInterval(() => response.write('.'), 20)
  response.writeHead(200).on('close', () => clearInterval(timer))
}

const at =
  (...addresses: string[]) =>
  async () =>
    addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))

test('an answer has its status, headers and body', async () => {
  await using server = await serveHttp(hello)
  const outgoing = createOutgoingFetch({ allowPrivate: true })
  const response = await outgoing.fetch(server.url)
  expect([response.status, response.headers.get('x-name'), await response.text()]).toEqual([
    200,
    'hello',
    'hello',
  ])
  await outgoing.close()
})

test('method, headers and body of a request arrive', async () => {
  await using server = await serveHttp(async (request, response) => {
    const body = (await request.toArray()).join('')
    response.end([request.method, request.headers['x-a'], request.headers['content-type'], body].join(' '))
  })
  const init = { method: 'POST', headers: { 'x-a': '1', 'content-type': 'text/csv' }, body: 'a,b' }
  expect(await ask(server.url, { allowPrivate: true }, init)).toBe('200 POST 1 text/csv a,b')
})

test.each([
  'http://127.0.0.1:PORT/',
  'http://localhost:PORT/',
  'http://0.0.0.0:PORT/',
  'http://[::1]:PORT/',
  'http://[::ffff:127.0.0.1]:PORT/',
  'http://2130706433:PORT/',
  'http://0x7f.1:PORT/',
  'http://0177.0.0.1:PORT/',
  'http://127.1:PORT/',
  'https://127.0.0.1:PORT/',
  'http://①②⑦.⓪.⓪.①:PORT/',
])('%s is refused, and receives no connection', async template => {
  await using server = await serveHttp(hello)
  const url = template.replace('PORT', new URL(server.origin).port)
  expect(await ask(url)).toMatch(
    /^OutgoingError: (refused: \S+ is .*(loopback|unspecified) address|localhost has no public address)$/,
  )
  expect(server.requests).toEqual([])
})

test.each([
  [['127.0.0.1']],
  [['10.1.2.3']],
  [['169.254.169.254']],
  [['::1']],
  [['64:ff9b::7f00:1']],
  [['93.184.215.14', '127.0.0.1']],
  [[]],
])('a name at %j is refused as a whole, with the error for one that does not exist', async addresses => {
  await using server = await serveHttp(hello)
  const url = server.url.replace('127.0.0.1', 'inside.example.com')
  const sentence = 'OutgoingError: inside.example.com has no public address'
  expect(await ask(url, { resolve: at(...addresses) })).toBe(sentence)
  expect(await ask(url.replace('http', 'https'), { resolve: at(...addresses) })).toBe(sentence)
  for (const code of ['ENOTFOUND', 'EAI_AGAIN']) {
    const resolve = async () => {
      throw Object.assign(new Error(`getaddrinfo ${code}`), { code })
    }
    expect(await ask(url, { resolve })).toBe(sentence)
  }
  expect(server.requests).toEqual([])
})

test('an address that changes between its check and its use is refused before anything is sent', async () => {
  await using server = await serveHttp(hello)
  const url = server.url.replace('127.0.0.1', 'rebind.example.com')
  let reads = 0
  const changing = {
    family: 4,
    get address() {
      reads++
      return reads === 1 ? '93.184.215.14' : '127.0.0.1'
    },
  }
  expect(await ask(url, { resolve: async () => [changing] })).toBe(
    'OutgoingError: rebind.example.com has no public address',
  )
  expect(reads).toBeGreaterThan(1)
  expect(server.requests).toEqual([])
})

test('the operator may allow private addresses', async () => {
  await using server = await serveHttp(hello)
  expect(await ask(server.url, { allowPrivate: true })).toBe('200 hello')
})

test.each(['follow', 'manual', undefined] as const)(
  'a redirect is returned and not followed (%s)',
  async redirect => {
    await using inside = await serveHttp(hello)
    await using server = await serveHttp(answers(302, { location: inside.url }, 'moved'))
    const init = { redirect, headers: { authorization: 'Bearer secret' } }
    expect(await ask(server.url, { allowPrivate: true }, init)).toBe('302 moved')
    expect(inside.requests).toEqual([])
  },
)

test('an answer ends at its limit', async () => {
  const sent = { bytes: 0 }
  await using server = await serveHttp(flood('text/plain', 'x'.repeat(65_536), sent))
  const limits = { allowPrivate: true, maxResponseBytes: 100_000 }
  expect(await ask(server.url, limits)).toBe('OutgoingError: 127.0.0.1 answers with more than 100000 bytes')
  expect(sent.bytes).toBeLessThan(32 * 1024 * 1024)
})

test.each<[string, Handler]>([
  ['says nothing', () => {}],
  ['says half', (_request, response) => void response.writeHead(200).write('half')],
  ['never stops saying little', drip],
])('a request to a server that %s ends at the deadline', async (_name, handler) => {
  await using server = await serveHttp(handler)
  expect(await ask(server.url, { allowPrivate: true, deadlineMs: 300 })).toBe(
    'OutgoingError: 127.0.0.1 did not answer within 0.3 s',
  )
})

test("an abort by the caller rejects with the caller's reason", async () => {
  await using server = await serveHttp(() => {})
  const signal = AbortSignal.abort(new Error('enough'))
  expect(await ask(server.url, { allowPrivate: true }, { signal })).toBe('Error: enough')
})

test.each([
  ['file:///etc/passwd', 'refused: only http and https addresses can be asked'],
  ['data:text/plain,hello', 'refused: only http and https addresses can be asked'],
  ['http://mail.example.com:25/', 'refused: the port of mail.example.com is for another protocol'],
  ['nonsense', 'refused: the address is not a URL'],
  ['http://ada:s3cret@example.com/', 'refused: the address of example.com holds a user name or password'],
  ['http://nowhere.invalid/?key=s3cret', 'nowhere.invalid has no public address'],
])('%s: %s', async (url, sentence) => {
  const resolve = at()
  expect(await ask(url, { resolve })).toBe(`OutgoingError: ${sentence}`)
})
