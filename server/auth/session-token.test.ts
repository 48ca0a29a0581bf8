import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  digestSessionToken,
  readSessionCookie,
  serializeSessionCookie,
  sessionCookieName,
  signSessionToken,
  storedSessionToken,
  verifySessionToken,
} from './session-token.ts'

const SECRET = 'a secret of the test suite, long enough to be one'
const RAW = 'Rr0Tq3VnZ8yB5cWk1LxHs7DfGj2Mp4Ua'

test('the stored value is the hash of the sent digest', () => {
  const travels = Buffer.from(digestSessionToken(RAW), 'hex')
  expect(storedSessionToken(RAW)).toBe(createHash('sha256').update(travels).digest('hex'))
})

test('a signed token is accepted, percent-encoded or not', () => {
  const signed = signSessionToken(RAW, SECRET)
  expect(verifySessionToken(signed, SECRET)).toBe(RAW)
  expect(verifySessionToken(encodeURIComponent(signed), SECRET)).toBe(RAW)
})

test('a raw token, a foreign signature and an empty one are refused', () => {
  expect(verifySessionToken(RAW, SECRET)).toBeNull()
  expect(verifySessionToken(`${RAW}.`, SECRET)).toBeNull()
  expect(verifySessionToken('', SECRET)).toBeNull()
  expect(verifySessionToken('.', SECRET)).toBeNull()
  expect(verifySessionToken(signSessionToken(RAW, 'another secret'), SECRET)).toBeNull()
})

test('a signed token is refused with any one character changed', () => {
  const signed = signSessionToken(RAW, SECRET)
  fc.assert(
    fc.property(fc.nat(signed.length - 1), fc.constantFrom(...'ABCxyz019+/=.'), (at, character) => {
      fc.pre(signed[at] !== character)
      const changed = signed.slice(0, at) + character + signed.slice(at + 1)
      expect(verifySessionToken(changed, SECRET)).toBeNull()
    }),
    { numRuns: 1_000 },
  )
})

test('no text throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => verifySessionToken(text, SECRET) === null))
})

test('the session cookie is found among others, and the first of several counts', () => {
  expect(readSessionCookie('a=1; better-auth.session_token=x.y; b=2', false)).toBe('x.y')
  expect(readSessionCookie('better-auth.session_token=first;better-auth.session_token=second', false)).toBe(
    'first',
  )
  expect(readSessionCookie('better-auth.session_token="quoted"', false)).toBe('quoted')
  expect(readSessionCookie('x-better-auth.session_token=x', false)).toBeNull()
  expect(readSessionCookie(undefined, false)).toBeNull()
})

test('over https only the prefixed cookie is read', () => {
  expect(readSessionCookie('better-auth.session_token=x', true)).toBeNull()
  expect(readSessionCookie('__Secure-better-auth.session_token=x', true)).toBe('x')
  expect(sessionCookieName(true)).toBe('__Secure-better-auth.session_token')
})

test('a cookie can be sent again whether its value was encoded or not', () => {
  const signed = signSessionToken(RAW, SECRET)
  const options = { isSecure: true, maxAgeSeconds: 604_800 }
  const cookie = serializeSessionCookie(signed, options)
  expect(cookie).toBe(serializeSessionCookie(encodeURIComponent(signed), options))
  expect(cookie).toBe(
    `__Secure-better-auth.session_token=${encodeURIComponent(signed)}; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax`,
  )
})
