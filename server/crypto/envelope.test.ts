import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { keyIdOf, open, type Place, seal, sealWith, UnreadableValueError } from './envelope.ts'
import { parseKeyring } from './keyring.ts'
import { openOlder, UnknownFormatError } from './older.ts'
import vectors from './vectors.json' with { type: 'json' }

const KEY = randomBytes(32).toString('hex')
const keyring = parseKeyring(`k2:${KEY},k1:${randomBytes(32).toString('hex')}`)
const SECRET = 'sk-canary-4f7c1d9ab2e84635'
const place: Place = { table: 'app.provider_keys', column: 'value', ownerId: 'owner', rowId: 'row' }

function failureOf(envelope: string, at: Place = place, keys = keyring): UnreadableValueError | null {
  try {
    open(keys, envelope, at)
    return null
  } catch (error) {
    if (error instanceof UnreadableValueError) return error
    throw error
  }
}

describe('the published vectors', () => {
  test.each(vectors.sealed)('$title', ({ keys, iv, place, plaintext, envelope }) => {
    const vectorKeys = parseKeyring(keys)
    expect(sealWith(vectorKeys, plaintext, { place, iv: Buffer.from(iv, 'hex') })).toBe(envelope)
    expect(open(vectorKeys, envelope, place)).toBe(plaintext)
  })

  test.each(vectors.refused)('refused: $title', ({ keys, place, envelope, kind }) => {
    expect(failureOf(envelope, place, parseKeyring(keys))).toMatchObject({ kind, place })
  })

  test.each(vectors.older)('of an older format: $title', ({ keys, text, plaintext }) => {
    const vectorKeys = parseKeyring(keys)
    expect(openOlder(vectorKeys, text)).toBe(plaintext)
    expect(failureOf(text, place, vectorKeys)?.kind).toBe('malformed')
  })
})

describe('an envelope', () => {
  test('decrypts in its place, and has other bytes each time for the same text', () => {
    const [one, other] = [seal(keyring, SECRET, place), seal(keyring, SECRET, place)]
    expect(one).not.toBe(other)
    expect([open(keyring, one, place), open(keyring, other, place)]).toEqual([SECRET, SECRET])
    expect(keyIdOf(one)).toBe('k2')
  })

  test('decrypts with any key of the keyring, in any position', () => {
    const [k2, k1] = ['k2', 'k1'].map(id => `${id}:${randomBytes(32).toString('hex')}`)
    const old = seal(parseKeyring(`${k1}`), SECRET, place)
    expect(open(parseKeyring(`${k2},${k1}`), old, place)).toBe(SECRET)
    expect(failureOf(old, place, parseKeyring(`${k2}`))).toMatchObject({ kind: 'unknown_key', keyId: 'k1' })
    const another = parseKeyring(`k1:${randomBytes(32).toString('hex')}`)
    expect(failureOf(old, place, another)?.kind).toBe('tampered')
  })

  test.each<[what: string, change: Partial<Place>]>([
    ['row', { rowId: 'another' }],
    ['owner', { ownerId: 'another' }],
    ['column', { column: 'hint' }],
    ['table', { table: 'app.connectors' }],
    ['owner and row whose names join to the same text', { ownerId: 'ownerr', rowId: 'ow' }],
    ['table and column whose names join to the same text', { table: 'app', column: 'provider_keys.value' }],
  ])('does not decrypt in another %s', (_what, change) => {
    expect(failureOf(seal(keyring, SECRET, place), { ...place, ...change })?.kind).toBe('tampered')
  })

  test('is refused with any bit flipped, and truncated at any position', () => {
    const [version, keyId, body = ''] = seal(keyring, SECRET, place).split('.')
    const bytes = Buffer.from(body, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const envelope = `${version}.${keyId}.${flipped.toString('base64url')}`
      expect(failureOf(envelope)?.kind).toBe('tampered')
    }
    const whole = `${version}.${keyId}.${body}`
    for (let length = 0; length < whole.length; length++) {
      expect(failureOf(whole.slice(0, length))).toBeInstanceOf(UnreadableValueError)
    }
  })

  test('that does not decrypt throws an error with place and cause, and nothing of its content', () => {
    const envelope = seal(keyring, SECRET, place)
    const failures = [
      failureOf(envelope, { ...place, rowId: 'another' }),
      failureOf(envelope.replace('.k2.', '.k7.')),
      failureOf(SECRET),
    ]
    expect(failures.map(failure => failure?.message)).toEqual([
      expect.stringMatching(/^app\.provider_keys\.value of row "another" is unreadable: it was changed/),
      expect.stringMatching(/row "row" is unreadable: .*key that ENCRYPTION_KEYS does not have \("k7"\)$/),
      expect.stringMatching(/row "row" is unreadable: it is not an envelope$/),
    ])
    const told = inspect(failures, { depth: 9, showHidden: true })
    for (const secret of [SECRET, envelope.slice(8), KEY]) expect(told).not.toContain(secret)
  })

  test('can not be made of text without a UTF-8 form', () => {
    expect(() => seal(keyring, 'half \ud83d a pair', place)).toThrow(TypeError)
  })
})

test('one million mutated envelopes each throw a typed error', { timeout: 120_000 }, () => {
  const random = generator(0x5eed)
  const originals = ['', 'x', SECRET, 'ключ 🗝️'.repeat(9)].map(text => seal(keyring, text, place))
  const opened: string[] = []
  const kinds = { malformed: 0, unknown_key: 0, tampered: 0 }
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  for (let n = 0; n < 1_000_000; n++) {
    const original = originals[n % originals.length] ?? ''
    let mutated = mutate(original, random)
    while (random(4) === 0) mutated = mutate(mutated, random)
    if (originals.includes(mutated)) continue
    const failure = failureOf(mutated)
    if (failure) kinds[failure.kind]++
    else opened.push(mutated)
  }
  Error.stackTraceLimit = stackTraceLimit
  expect(opened).toEqual([])
  expect(kinds.malformed + kinds.unknown_key + kinds.tampered).toBeGreaterThan(990_000)
  for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(10_000)
})

const CHARACTERS = 'ABCabc019-_.:=+/ \n\0k2hrшß\ud83d'

/** Makes one change: bits, characters, lengths, the key's id, or the order of the parts. */
function mutate(envelope: string, random: (below: number) => number): string {
  const at = random(envelope.length + 1)
  const character = CHARACTERS[random(CHARACTERS.length)] ?? ''
  switch (random(9)) {
    case 0:
      return envelope.slice(0, at) + character + envelope.slice(at + 1)
    case 1:
      return envelope.slice(0, at) + character + envelope.slice(at)
    case 2:
      return envelope.slice(0, at) + envelope.slice(at + 1 + random(3))
    case 3:
      return envelope.slice(0, at)
    case 4:
      return envelope.replace(/\.k\d?\./, `.${['k1', 'k9', 'K2', ''][random(4)]}.`)
    case 5:
      return envelope.split('.').reverse().join('.')
    default: {
      const [version, keyId, body = ''] = envelope.split('.')
      const bytes = Buffer.from(body, 'base64url')
      const byte = random(bytes.length || 1)
      if (bytes.length > 0) bytes[byte] = (bytes[byte] ?? 0) ^ (1 << random(8))
      return `${version}.${keyId}.${bytes.toString('base64url')}`
    }
  }
}

/** Mulberry32: numbers below a bound that are the same in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

describe('an older format', () => {
  test('that no key decrypts is refused without its text in the error', () => {
    for (const text of ['', 'plain text', `${'00'.repeat(16)}:${'00'.repeat(16)}`, 'QUJD'.repeat(40)]) {
      expect(() => openOlder(keyring, text)).toThrow(UnknownFormatError)
    }
  })
})
