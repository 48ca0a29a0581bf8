import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Transformer } from '../testing-router.ts'
import {
  send,
  startApp,
  startReference,
  type TestAnswer,
  type TestRequest,
  type TestServer,
} from '../testing-servers.ts'
import { CASES } from './conformance-cases.ts'

// Where ours differs on purpose, and the suite that holds it:
// - a call from a foreign origin, a preflight, CORS headers and `vary: origin` (origins.test.ts);
// - bodies over 1 MiB, also where the procedure would not have read them, JSON nested over 200 levels, and methods
//   that HTTP knows and tRPC does not, which are errors of its own there (limits.test.ts);
// - text that is not valid UTF-8, in a body or a query, which tRPC reads as U+FFFD (utf8.test.ts);
// - 503 past the capacity (load.test.ts), and the headers below.
// A batch has at most 20 calls, which is tRPC's own option.

// How the answer is framed is no part of it: ours is sent whole, with its length, the reference's in chunks.
const FRAMING = ['date', 'connection', 'keep-alive', 'content-length', 'transfer-encoding']

// What ours adds to tRPC's headers, and the one value it may add.
const ADDED: Record<string, RegExp> = {
  'x-request-id': /^[\w.-]+$/,
  'x-content-type-options': /^nosniff$/,
  'cache-control': /^no-store$/,
}

// To a request that names its origin the answer says that it depends on it.
const VARY_BY_ORIGIN = /, origin$/

function comparable({ status, headers, body }: TestAnswer) {
  const kept = Object.entries(headers).filter(
    ([name, value]) => !FRAMING.includes(name) && !ADDED[name]?.test(String(value)),
  )
  const { vary, ...others } = Object.fromEntries(kept)
  return { status, headers: { ...others, vary: String(vary).replace(VARY_BY_ORIGIN, '') }, body }
}

describe.each<Transformer>(['superjson', 'plain JSON'])(
  'with %s, our handler answers as tRPC’s own',
  transformer => {
    let reference: TestServer
    let ours: TestServer
    beforeAll(async () => {
      reference = await startReference(transformer)
      ours = await startApp({ transformer })
    })
    afterAll(async () => {
      await Promise.all([reference.close(), ours.close()])
    })

    it.each(Object.keys(CASES))('%s', async name => {
      for (const request of CASES[name] ?? []) {
        const expected = comparable(await send(reference.port, request))
        const answer = comparable(await send(ours.port, request))
        expect(answer, `${request.method ?? 'GET'} ${request.path}`).toEqual(expected)
      }
    })
  },
)

const NAMES = [
  'null',
  'who',
  'echo',
  'write',
  'touch',
  'strict',
  'fail',
  'values',
  'throwError',
  'ticks',
  'missing',
  'late.one',
  '',
]
const fragment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...NAMES) },
  fc.string({ maxLength: 5 }).map(encodeURIComponent),
  fc.constantFrom('%', '.', '..', '/', '~', '%2C', '%00'),
)
const jsonText = fc.oneof(
  fc.json(),
  fc.json().map(text => `{"json":${text}}`),
  fc
    .dictionary(
      fc.constantFrom('0', '1', '2', 'x'),
      fc.jsonValue().map(value => ({ json: value })),
    )
    .map(inputs => JSON.stringify(inputs)),
  fc.string({ maxLength: 10 }),
  fc.constant(''),
)
const queryPart = fc.oneof(
  { weight: 3, arbitrary: fc.constant('batch=1') },
  { weight: 3, arbitrary: jsonText.map(text => `input=${encodeURIComponent(text)}`) },
  jsonText.map(text => `input=${encodeURIComponent(text).replaceAll('%20', '+').slice(0, 9)}`),
  fc.constantFrom(
    '',
    'batch',
    'batch=0',
    'b%61tch=1',
    'input',
    'input=+',
    'x=1',
    'connectionParams=null',
    'input=%c3%bc',
  ),
)
const header = fc.constantFrom<Record<string, string>>(
  {},
  { 'content-type': 'application/json' },
  { 'content-type': 'application/json;charset=UTF-8' },
  { 'content-type': 'text/plain' },
  { 'trpc-accept': 'application/jsonl' },
  { accept: 'application/jsonl, */*' },
  { 'x-context': 'expected' },
  { 'x-name': 'ada' },
)
const anyRequest: fc.Arbitrary<TestRequest> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'HEAD'),
    names: fc.array(fragment, { minLength: 1, maxLength: 4 }),
    query: fc.array(queryPart, { maxLength: 3 }),
    headers: fc.array(header, { maxLength: 3 }),
    isJson: fc.boolean(),
    body: jsonText,
  })
  .map(({ method, names, query, headers, isJson, body }) => ({
    method,
    path: `/trpc/${names.join(',')}${query.length > 0 ? `?${query.join('&')}` : ''}`,
    headers: Object.assign(
      {},
      ...headers,
      isJson && method === 'POST' ? { 'content-type': 'application/json' } : {},
    ),
    ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
  }))

it('random requests get the same answer from both handlers', { timeout: 120_000 }, async () => {
  const reference = await startReference('superjson')
  const ours = await startApp({ transformer: 'superjson' })
  try {
    await fc.assert(
      fc.asyncProperty(anyRequest, async request => {
        const [expected, answer] = await Promise.all([
          send(reference.port, request),
          send(ours.port, request),
        ])
        expect(comparable(answer)).toEqual(comparable(expected))
      }),
      { numRuns: 1500 },
    )
  } finally {
    await Promise.all([reference.close(), ours.close()])
  }
})
