import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PROVIDERS } from '#server/rooms/connections/schema.ts'
import type { RunningServer } from '#server/start.ts'
import { type Actor, createActor, type House, openHouse, PASSWORD } from '#server/testing/actors.ts'
import { sign, WEBHOOK_ENVIRONMENT } from '#server/testing/webhooks.ts'
import { startWebhookServer } from '#server/webhooks/fixture.ts'
import { post, send, type TestAnswer } from './testing-servers.ts'
import { decodeBody, decodeHeader, isReadableQuery } from './utf8.ts'

// A whole server, over HTTP, byte for byte.

let house: House
let ada: Actor
let server: RunningServer
let port: number
beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
  server = await startWebhookServer(house, WEBHOOK_ENVIRONMENT)
  port = Number(new URL(server.url).port)
})
afterAll(async () => {
  await server.stop()
  await house.close()
})

/** Bytes that decoders replace, in the order of Unicode's table 3-8 and its kin. */
const BAD: Record<string, number[]> = {
  'a byte of Latin-1': [0xfc],
  'a continuation byte alone': [0x80],
  'a sequence that is cut short': [0xe2, 0x82],
  'a sequence of four that is cut short': [0xf0, 0x9f, 0x98],
  'an overlong slash': [0xc0, 0xaf],
  'an overlong NUL': [0xc0, 0x80],
  'an overlong sequence of three': [0xe0, 0x80, 0xaf],
  'a surrogate': [0xed, 0xa0, 0x80],
  'a pair of surrogates': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
  'a sign behind the last': [0xf4, 0x90, 0x80, 0x80],
  'a byte that UTF-8 never has': [0xff],
}
const GOOD = 'ü € 😀 \u2028 \ufffd'
// A name is on one line.
const NAME = GOOD.replace('\u2028', '')

/** The text with the bytes where `?` stands. */
function around(text: string, bytes: readonly number[]): Buffer {
  const [before = '', after = ''] = text.split('?')
  return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)])
}

function percentEncoded(bytes: readonly number[]): string {
  return bytes.map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')
}

function session() {
  return { authorization: ada.authorization, 'content-type': 'application/json' }
}

const signUp = (name: string) => `{"email":"b@example.com","password":"${PASSWORD}","name":"${name}"}`

const WAYS: Record<string, (bytes: readonly number[]) => Promise<TestAnswer>> = {
  'a call': bytes =>
    send(port, {
      method: 'POST',
      path: '/trpc/tasks.create',
      headers: session(),
      body: around('{"json":{"prompt":"?"}}', bytes),
    }),
  'a batch': bytes =>
    send(port, {
      method: 'POST',
      path: '/trpc/tasks.create?batch=1',
      headers: session(),
      body: around('{"0":{"json":{"prompt":"?"}}}', bytes),
    }),
  'a streamed batch': bytes =>
    send(port, {
      method: 'POST',
      path: '/trpc/tasks.create?batch=1',
      headers: { ...session(), 'trpc-accept': 'application/jsonl' },
      body: around('{"0":{"json":{"prompt":"?"}}}', bytes),
    }),
  'the name of a member': bytes =>
    send(port, {
      method: 'POST',
      path: '/trpc/tasks.create',
      headers: session(),
      body: around('{"json":{"prompt":"x","?":1}}', bytes),
    }),
  'an address': bytes =>
    send(port, {
      path: `/trpc/tasks.list?input=%7B%22json%22:%7B%22search%22:%22${percentEncoded(bytes)}%22%7D%7D`,
      headers: session(),
    }),
  'an address that tRPC reads': bytes =>
    send(port, {
      path: `/trpc/tasks.list?inp%75t=%7B%22json%22:%7B%22search%22:%22${percentEncoded(bytes)}%22%7D%7D`,
      headers: session(),
    }),
  'an address of a stream': bytes =>
    send(port, { path: `/trpc/tasks.logs.stream?input=${percentEncoded(bytes)}`, headers: session() }),
  'a body of the sign-in library': bytes =>
    send(port, {
      method: 'POST',
      path: '/api/auth/sign-up/email',
      headers: { 'content-type': 'application/json' },
      body: around(signUp('?'), bytes),
    }),
  'an address of the sign-in library': bytes =>
    send(port, { path: `/api/auth/verify-email?token=${percentEncoded(bytes)}` }),
  'an address of a callback': bytes =>
    send(port, { path: `/oauth/github/callback?state=${percentEncoded(bytes)}` }),
}

describe.each(Object.entries(WAYS))('text that comes by %s', (_way, sendBytes) => {
  it.each(Object.entries(BAD))('is refused with %s', async (_what, bytes) => {
    const { status, body } = await sendBytes(bytes)
    expect(status, body).toBe(400)
    expect(body).toMatch(/"invalid_input"|"INVALID_INPUT"/)
    expect(body).not.toContain('\ufffd')
  })
})

it('nothing of what was refused is stored', async () => {
  const { rows } = await house.owner.query(`select 1 from app.tasks where prompt like '%\ufffd%'`)
  expect(rows).toEqual([])
})

describe.each(PROVIDERS)('a delivery of %s', provider => {
  it.each(Object.entries(BAD))('is refused with %s, though its signature is right', async (_what, bytes) => {
    const { body, headers } = sign(provider, around('{"id":"a","type":"x.y","text":"?"}', bytes))
    const answer = await send(port, { method: 'POST', path: `/webhooks/${provider}`, headers, body })
    expect(answer.status, answer.body).toBe(400)
    expect(JSON.parse(answer.body).reason).toBe('invalid_input')
  })

  it('is refused with a header to store that is not valid UTF-8', async () => {
    const { body, headers } = sign(provider, '{"id":"a","type":"x.y"}', {
      headers: { 'user-agent': 'a\xff' },
    })
    const answer = await send(port, {
      method: 'POST',
      path: `/webhooks/${provider}`,
      headers,
      body: Buffer.from(body),
    })
    expect(answer.status, answer.body).toBe(400)
  })
})

describe('well-formed text', () => {
  it('arrives by every way, U+FFFD included', async () => {
    const headers = session()
    const created = await post(port, '/trpc/tasks.create', { json: { prompt: GOOD } }, headers)
    expect(JSON.parse(created.body).result.data.json.prompt).toBe(GOOD)
    const input = encodeURIComponent(JSON.stringify({ json: { search: 'ü' } }))
    const found = await send(port, { path: `/trpc/tasks.list?input=${input}`, headers })
    expect(JSON.parse(found.body).result.data.json.items).toHaveLength(1)
    const withMark = await send(port, {
      method: 'POST',
      path: '/trpc/tasks.create',
      headers,
      body: `\ufeff{"json":{"prompt":"${GOOD}"}}`,
    })
    expect(withMark.status).toBe(200)
  })

  it('arrives in a user agent, and one that is not valid UTF-8 begins no session', async () => {
    const signUpAs = (userAgent: string) =>
      send(port, {
        method: 'POST',
        path: '/api/auth/sign-up/email',
        headers: { 'content-type': 'application/json', 'user-agent': userAgent },
        // Bytes: Node would write the headers as UTF-8, too, along with a string.
        body: Buffer.from(signUp(NAME)),
      })
    expect((await signUpAs('browser \xff')).status).toBe(400)
    expect((await signUpAs(Buffer.from(`browser ü €`).toString('latin1'))).status).toBe(200)
    const { rows } = await house.owner.query(
      `select name, user_agent from auth.sessions join auth.users on users.id = user_id where email = 'b@example.com'`,
    )
    expect(rows).toEqual([{ name: NAME, user_agent: 'browser ü €' }])
  })

  it('is needed in an address: bytes that are not percent-encoded are refused', async () => {
    const answer = await send(port, {
      path: '/trpc/tasks.list?input={"json":{"search":"\xfc"}}',
      headers: session(),
    })
    expect(answer.status).toBe(400)
  })
})

describe('decoding', () => {
  it.each(Object.entries(BAD))('refuses %s', (_what, bytes) => {
    expect(() => decodeBody(around('a?b', bytes))).toThrow('the body is not valid UTF-8')
    expect(decodeHeader(around('a?b', bytes).toString('latin1'))).toBeNull()
    expect(isReadableQuery(`/a?b=c${percentEncoded(bytes)}d`)).toBe(false)
    expect(isReadableQuery(`/a?b=${percentEncoded(bytes).toUpperCase()}&c`)).toBe(false)
  })

  it('takes every sign, and leaves malformed escapes to whoever reads the query', () => {
    expect(decodeBody(Buffer.from(GOOD))).toBe(GOOD)
    expect(decodeBody(Buffer.from(`\ufeff${GOOD}`))).toBe(GOOD)
    expect(decodeHeader(Buffer.from(GOOD).toString('latin1'))).toBe(GOOD)
    for (const query of [
      '',
      '?',
      `?a=${encodeURIComponent(GOOD)}`,
      '?a=%',
      '?a=%zz',
      '?%41=%0',
      '?a=%c3%bc%41%c3%bc',
    ]) {
      expect(isReadableQuery(`/%ff${query}`), query).toBe(true)
    }
  })
})
