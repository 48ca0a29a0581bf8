import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createApiToken, isApiToken, shownPrefix, storedApiToken } from './format.ts'

describe('API token format', () => {
  it('accepts every token that it creates', () => {
    for (let i = 0; i < 1_000; i++) expect(createApiToken()).toSatisfy(isApiToken)
  })

  it('rejects a token with any one character changed', () => {
    const token = createApiToken()
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (let i = 0; i < token.length; i++) {
      for (const letter of alphabet) {
        if (letter === token[i]) continue
        expect(isApiToken(token.slice(0, i) + letter + token.slice(i + 1))).toBe(false)
      }
    }
  })

  it('rejects a token that was cut, lengthened or padded', () => {
    const token = createApiToken()
    const others = [
      token.slice(0, -1),
      `${token}A`,
      ` ${token}`,
      `${token}\n`,
      token.toUpperCase(),
      `${token}=`,
    ]
    for (const text of others) expect(isApiToken(text)).toBe(false)
  })

  it('rejects arbitrary text', () => {
    fc.assert(fc.property(fc.string(), text => !isApiToken(text) && !isApiToken(`rht_${text}`)))
  })

  it('stores a hash of the hash that statements send, and shows six characters of the secret', () => {
    const token = createApiToken()
    const travelling = createHash('sha256').update(token).digest()
    expect(storedApiToken(token)).toEqual(createHash('sha256').update(travelling).digest())
    expect(shownPrefix(token)).toBe(token.slice(0, 10))
  })
})
