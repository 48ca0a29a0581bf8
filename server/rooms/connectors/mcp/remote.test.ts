import { describe, expect, test, vi } from 'vitest'
import { initialized, tool } from '#server/testing/mcp/answers.ts'
import {
  answers,
  type Handler,
  JSON_TYPE,
  scripted,
  serveHttp,
  sseTools,
  streamableTools,
} from '#server/testing/mcp/http-server.ts'
import { TOOLS } from '#server/testing/mcp/tools.ts'
import { ask, refusal, SECRET } from './remote-fixture.ts'

const guarded =
  (handler: Handler): Handler =>
  (request, response, origin) => {
    const isAllowed = request.headers.authorization === `Bearer ${SECRET}`
    return isAllowed ? handler(request, response, origin) : void response.writeHead(401).end()
  }

describe('all tool pages of a server built with the SDK are listed', () => {
  test('over streamable HTTP, with the headers, and the session is ended', async () => {
    await using server = await serveHttp(guarded(streamableTools()))
    expect(await ask(server)).toEqual({ status: 'connected', tools: TOOLS })
    expect(server.requests.at(-1)).toBe('DELETE /mcp')
    expect(await ask({ url: server.url, headers: {} })).toEqual({
      status: 'disconnected',
      error: 'the server answered HTTP 401 (Unauthorized)',
    })
  })

  test('over server-sent events, as in the first protocol version', async () => {
    await using server = await serveHttp(guarded(sseTools()))
    expect(await ask(server)).toEqual({ status: 'connected', tools: TOOLS })
    expect(server.requests.slice(0, 2)).toEqual(['POST /mcp', 'GET /mcp'])
  })

  test('behind a redirect within its origin', async () => {
    const tools = streamableTools()
    await using server = await serveHttp((request, response, origin) =>
      request.url === '/mcp'
        ? void response.writeHead(308, { location: '/moved' }).end()
        : tools(request, response, origin),
    )
    expect(await ask(server)).toEqual({ status: 'connected', tools: TOOLS })
  })
})

test('the secrets of a server that repeats them are masked in the stored tools', async () => {
  const repeating: Handler = (request, response, origin) =>
    scripted({
      initialize: initialized(),
      'tools/list': {
        tools: [tool(`\0${request.headers['x-key']}`, `${request.headers.authorization} \ud800`)],
      },
    })(request, response, origin)
  await using server = await serveHttp(repeating)
  expect(await ask(server)).toEqual({
    status: 'connected',
    tools: [{ name: '•••', description: '••• \ufffd', inputSchema: { type: 'object' } }],
  })
})

test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
  ['the cursor of its last page', {}, { tools: [tool('a')], nextCursor: null }],
  ['an empty cursor', {}, { tools: [tool('a')], nextCursor: '' }],
  [
    'optional fields of its tools',
    {},
    { tools: [{ ...tool('a'), title: null, annotations: null, outputSchema: null }] },
  ],
  [
    'optional fields of its own',
    { instructions: null, serverInfo: { name: 's', version: '1', title: null } },
    { tools: [tool('a')] },
  ],
  [
    'missing capabilities',
    { capabilities: { tools: { listChanged: null }, prompts: null, logging: null } },
    { tools: [tool('a')] },
  ],
  ['a tool’s metadata', {}, { tools: [{ ...tool('a'), _meta: null }] }],
])('a server that sends null for %s is accepted', async (_, changes, page) => {
  await using server = await serveHttp(scripted({ initialize: initialized(changes), 'tools/list': page }))
  expect(await ask(server)).toEqual({
    status: 'connected',
    tools: [{ name: 'a', description: '', inputSchema: { type: 'object' } }],
  })
})

test('a null in a tool’s input schema is kept', async () => {
  const inputSchema = { type: 'object', properties: { a: { default: null } } }
  const page = { tools: [{ ...tool('a'), description: null, inputSchema }, { name: 'b' }] }
  await using server = await serveHttp(scripted({ initialize: initialized(), 'tools/list': page }))
  expect(await ask(server)).toEqual({
    status: 'connected',
    tools: [
      { name: 'a', description: null, inputSchema },
      { name: 'b', description: null, inputSchema: { type: 'object' } },
    ],
  })
})

describe('a server at a private address', () => {
  test('is rejected before any request', async () => {
    await using server = await serveHttp(streamableTools())
    expect(await ask(server, { allowPrivate: false })).toEqual({
      status: 'disconnected',
      error: 'refused: 127.0.0.1 is a loopback address',
    })
    const url = server.url.replace('127.0.0.1', 'inside.example.com')
    const resolve = async () => [{ address: '127.0.0.1', family: 4 }]
    expect(await ask({ url }, { allowPrivate: false, resolve })).toEqual({
      status: 'disconnected',
      error: 'inside.example.com has no public address',
    })
    expect(server.requests).toEqual([])
  })

  test.each([301, 302, 303, 307, 308])(
    'is not reached by a redirect (%i), and gets no header',
    async status => {
      await using inside = await serveHttp(streamableTools())
      for (const location of [inside.url, 'http://169.254.169.254/latest/meta-data/', 'file:///etc/passwd'])
        expect(await refusal(answers(status, { location }))).toBe(
          `the server redirects to another address (HTTP ${status}): redirects are not followed`,
        )
      expect(inside.requests).toEqual([])
    },
  )

  test('is not reached through an endpoint event', async () => {
    await using inside = await serveHttp(streamableTools())
    const handler: Handler = (request, response) => {
      if (request.method !== 'GET') return void response.writeHead(405).end()
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`event: endpoint\ndata: ${inside.url}\n\n`)
    }
    expect(await refusal(handler)).toBe('the server answered HTTP 405 (Method Not Allowed)')
    expect(inside.requests).toEqual([])
  })
})

test.each([
  ['not an address', {}, 'the address is not a URL'],
  ['ftp://example.com/mcp', {}, 'refused: only http and https addresses can be asked'],
  [
    `http://ada:${SECRET}@example.com/mcp`,
    {},
    'refused: the address of example.com holds a user name or password',
  ],
  [
    'http://127.0.0.1/mcp',
    { 'x-key': `${SECRET}\n${SECRET}` },
    'a header has a name or value that HTTP does not allow',
  ],
  ['http://127.0.0.1/mcp', { [`x ${SECRET}`]: '1' }, 'a header has a name or value that HTTP does not allow'],
])('the target %s %j is rejected with a sentence', async (url, headers, error) => {
  expect(await ask({ url, headers })).toEqual({ status: 'disconnected', error })
})

describe('an OAuth client', () => {
  const oauth = { clientId: 'client', clientSecret: SECRET }
  const basic = `Basic ${Buffer.from(`client:${SECRET}`).toString('base64')}`

  const signIn =
    (issuer: (origin: string) => string, tools: Handler, tokenEndpoint?: string): Handler =>
    async (request, response, origin) => {
      const send = (value: unknown) => void response.writeHead(200, JSON_TYPE).end(JSON.stringify(value))
      if (request.url?.startsWith('/.well-known/oauth-protected-resource'))
        return send({ resource: `${origin}/mcp`, authorization_servers: [issuer(origin)] })
      if (request.url === '/.well-known/oauth-authorization-server')
        return send({
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: tokenEndpoint ?? `${origin}/token`,
          response_types_supported: ['code'],
          grant_types_supported: ['client_credentials'],
        })
      if (request.url === '/token' && request.headers.authorization === basic)
        return send({ access_token: 'granted', token_type: 'Bearer', expires_in: 60 })
      if (request.headers.authorization === 'Bearer granted') return tools(request, response, origin)
      response.writeHead(401).end()
    }

  test('gets its token from the server itself', async () => {
    await using server = await serveHttp(signIn(origin => origin, streamableTools()))
    expect(await ask({ url: server.url, headers: {}, oauth })).toEqual({ status: 'connected', tools: TOOLS })
  })

  test('does not send its secret, or the headers, to a URL that the server names', async () => {
    const heard: unknown[] = []
    await using elsewhere = await serveHttp((request, response) => {
      heard.push(request.headers.authorization, request.headers['x-key'])
      response.writeHead(404).end()
    })
    await using server = await serveHttp(signIn(() => elsewhere.origin, streamableTools()))
    expect(await ask({ url: server.url, headers: { 'x-key': SECRET }, oauth })).toEqual({
      status: 'disconnected',
      error: "the server's sign-in is at another address: the OAuth secret is not sent there",
    })
    expect(heard.filter(Boolean)).toEqual([])
  })

  test('does not send its secret to a token endpoint elsewhere', async () => {
    const heard: unknown[] = []
    await using elsewhere = await serveHttp(async (request, response) => {
      heard.push(request.headers.authorization, (await request.toArray()).join(''))
      response.writeHead(404).end()
    })
    await using server = await serveHttp(
      signIn(origin => origin, streamableTools(), `${elsewhere.origin}/token`),
    )
    expect(await ask({ url: server.url, headers: {}, oauth })).toEqual({
      status: 'disconnected',
      error: "the server's sign-in is at another address: the OAuth secret is not sent there",
    })
    expect(heard.filter(Boolean)).toEqual([])
  })

  test('sends all its requests through the guard of outgoing requests', async () => {
    const unguarded = vi.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('unguarded'))
    await using server = await serveHttp(signIn(origin => origin, streamableTools()))
    expect(await ask({ url: server.url, headers: {}, oauth })).toMatchObject({ status: 'connected' })
    for (const inside of [
      'http://169.254.169.254/',
      'http://[::ffff:169.254.169.254]/',
      'http://2852039166/',
      'file:///etc',
      'http://127.0.0.1:25/',
    ]) {
      await using lying = await serveHttp(signIn(() => inside, streamableTools()))
      expect(await ask({ url: lying.url, headers: {}, oauth })).toMatchObject({ status: 'disconnected' })
    }
    expect(unguarded).not.toHaveBeenCalled()
    unguarded.mockRestore()
  })
})
