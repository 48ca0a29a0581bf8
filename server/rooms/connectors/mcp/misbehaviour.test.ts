import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ENDLESS_PAGE, HUGE_PAGE, initialized, tool } from '#server/testing/mcp/answers.ts'
import {
  answers,
  flood,
  type Handler,
  JSON_TYPE,
  messageOf,
  scripted,
} from '#server/testing/mcp/http-server.ts'
import { refusal, SECRET } from './remote-fixture.ts'

const TIMED_OUT = 'the server did not answer within 0.5 s'
const deep = `${'['.repeat(100)}${']'.repeat(100)}`

describe('a misbehaving server fails with one sentence without secrets', () => {
  test.each<[string, Handler, number, string]>([
    ['hangs at initialize', () => {}, 500, TIMED_OUT],
    ['hangs at tools/list', scripted({ initialize: initialized() }), 500, TIMED_OUT],
    [
      'sends headers and hangs',
      (_request, response) => response.writeHead(200, JSON_TYPE).flushHeaders(),
      500,
      TIMED_OUT,
    ],
    [
      'answers with half a JSON',
      answers(200, JSON_TYPE, '{"jsonrpc":'),
      20_000,
      'the server answered with something that is not MCP',
    ],
    [
      'answers with other JSON',
      answers(200, JSON_TYPE, '{"ok":true}'),
      20_000,
      'the server answered with something that is not MCP',
    ],
    [
      'answers with HTML',
      answers(200, { 'content-type': 'text/html' }, '<p>'),
      20_000,
      'the server answered with a content type that is not MCP',
    ],
    [
      'speaks an old version',
      scripted({ initialize: initialized({ protocolVersion: '1999-01-01' }) }),
      20_000,
      'the server speaks a version of MCP that is not supported',
    ],
    ['fails', answers(500, {}, SECRET), 20_000, 'the server answered HTTP 500 (Internal Server Error)'],
    ['answers not found', answers(404, {}, SECRET), 20_000, 'the server answered HTTP 404 (Not Found)'],
    [
      'lists too much',
      scripted({ initialize: initialized(), 'tools/list': HUGE_PAGE }),
      20_000,
      "the server's tool list is larger than 512 KiB",
    ],
    [
      'lists without end',
      scripted({ initialize: initialized(), 'tools/list': ENDLESS_PAGE }),
      20_000,
      "the server's tool list does not end within 100 pages",
    ],
    [
      'nests too deeply',
      scripted({
        initialize: initialized(),
        'tools/list': { tools: [{ ...tool('deep'), inputSchema: { type: 'object', x: JSON.parse(deep) } }] },
      }),
      20_000,
      'the server lists tools that are nested too deeply',
    ],
    [
      'sends huge headers',
      answers(200, { 'x-huge': 'x'.repeat(100_000) }),
      20_000,
      '127.0.0.1 sent too large headers',
    ],
    ['hangs up', request => void request.socket.destroy(), 20_000, '127.0.0.1 closed the connection'],
  ])('%s', async (_name, handler, deadlineMs, sentence) => {
    expect(await refusal(handler, { deadlineMs })).toBe(sentence)
  })

  test('answers with an error that repeats the secret', async () => {
    const handler: Handler = async (request, response) => {
      const { id } = await messageOf(request)
      const error = { code: -32603, message: request.headers.authorization }
      response.writeHead(200, JSON_TYPE).end(JSON.stringify({ jsonrpc: '2.0', id, error }))
    }
    expect(await refusal(handler)).toBe('the server answered with an error (code -32603)')
  })

  test.each([
    ['JSON', 'application/json', 'x'.repeat(65_536), /answers with more than 4194304 bytes$/],
    ['one event', 'text/event-stream', 'x'.repeat(65_536), /answers with more than 4194304 bytes$/],
    ['events', 'text/event-stream', 'data: x\n\n'.repeat(1_000), /sent too many unrequested messages$/],
    [
      'notifications',
      'text/event-stream',
      'data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n'.repeat(1_000),
      /sent too many unrequested messages$/,
    ],
  ])('floods with %s, of which only the limit is read', async (_name, type, chunk, sentence) => {
    const sent = { bytes: 0 }
    expect(await refusal(flood(type, chunk, sent))).toMatch(sentence)
    expect(sent.bytes).toBeLessThan(32 * 1024 * 1024)
  })

  test('floods with requests, of which only the limit is answered', async () => {
    const pings = Array.from(
      { length: 20_000 },
      (_, id) => `data: {"jsonrpc":"2.0","id":${id},"method":"ping"}\n\n`,
    )
    let answered = 0
    const handler: Handler = async (request, response) => {
      if ((await messageOf(request)).method === undefined) {
        answered++
        return void response.writeHead(202).end()
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(pings.join(''))
    }
    expect(await refusal(handler)).toBe('the server wanted too many requests')
    expect(answered).toBeLessThanOrEqual(200)
  })

  test('sends a compressed body that expands too much', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20))
    const handler = answers(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }, bomb)
    expect(await refusal(handler)).toMatch(/answers with more than 4194304 bytes$/)
  })
})
