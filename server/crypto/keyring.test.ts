import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { KeyringError, parseKeyring } from './keyring.ts'

const HEX = '7d0e2f9b4c6a81835f1e0d9c8b7a69584736251403f2e1d0cfbeadfc9b8a7765'
const PASSPHRASE = 'correct horse battery staple'

test('the first key encrypts, and all are found by their ids', () => {
  const keyring = parseKeyring(` k2:${HEX.toUpperCase()} , k1: ${PASSPHRASE}`)
  expect([keyring.currentKeyId, keyring.keyIds]).toEqual(['k2', ['k2', 'k1']])
  expect(keyring.recordKey('k3', 'app.t.c')).toBeUndefined()
})

test('record keys differ by key and by purpose, and hex digits may be of either case', () => {
  const exported = (text: string, id: string, purpose: string) =>
    parseKeyring(text).recordKey(id, purpose)?.export().toString('hex')
  const one = exported(`a:${HEX}`, 'a', 'app.t.c')
  expect(exported(`b:${HEX.toUpperCase()}`, 'b', 'app.t.c')).toBe(one)
  expect(exported(`a:${HEX}`, 'a', 'app.t.d')).not.toBe(one)
  expect(exported(`a:${PASSPHRASE}`, 'a', 'app.t.c')).not.toBe(one)
})

test('nothing that prints an object shows a key', () => {
  const keyring = parseKeyring(`k1:${HEX},k2:${PASSPHRASE}`)
  keyring.recordKey('k1', 'app.t.c')
  const told = inspect(keyring, { depth: 9, showHidden: true }) + JSON.stringify(keyring)
  for (const secret of [HEX, PASSPHRASE]) expect(told).not.toContain(secret)
})

test.each([
  ['', 'has no id before its key 1'],
  [HEX, 'has no id before its key 1'],
  [`k1:${HEX},`, 'has no id before its key 2'],
  [`k 1:${HEX}`, 'invalid id before its key 1'],
  [`:${HEX}`, 'invalid id before its key 1'],
  [`k1:${HEX},k1:${PASSPHRASE}`, 'names the key "k1" twice'],
  ['k1:', 'a key "k1" that is empty'],
  [`k1:${HEX.slice(1)}`, 'has 63 hex digits'],
  [`k1:${HEX}00`, 'has 66 hex digits'],
  [`k1:${'0'.repeat(64)}`, 'repeats a few digits'],
  ['k1:too short', 'is a passphrase of 9 characters'],
  [`k1:${'xyxyxy'.repeat(6)}`, 'repeats a few characters'],
])('the error for the keyring %j contains no key', (text, reason) => {
  const parse = () => parseKeyring(text)
  expect(parse).toThrow(KeyringError)
  expect(parse).toThrow(reason)
  const secrets = text.split(/[,:]/).filter(part => part.length > 6)
  for (const secret of secrets) expect(parse).not.toThrow(secret)
})
