import { describe, expect, it } from 'vitest'
import { openExportToken, sealExportToken } from './export-token.ts'

describe('an export token', () => {
  it('is valid only unchanged, with its own secret and before its expiry', () => {
    const grant = { credential: `s:${'ab'.repeat(32)}`, expiresAt: Date.now() + 60_000 }
    const token = sealExportToken(grant, 'a secret')
    expect(openExportToken(token, 'a secret')).toEqual(grant)
    expect(sealExportToken(grant, 'a secret')).not.toBe(token)

    expect(openExportToken(token, 'another secret')).toBeNull()
    expect(
      openExportToken(sealExportToken({ ...grant, expiresAt: Date.now() }, 'a secret'), 'a secret'),
    ).toBeNull()
    const bytes = Buffer.from(token, 'base64url')
    for (let i = 0; i < bytes.length; i++) {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(bytes.readUInt8(i) ^ 1, i)
      expect(openExportToken(flipped.toString('base64url'), 'a secret')).toBeNull()
    }
    for (const text of ['', 'x', token.slice(0, -4), `${token}=`, `${token}/..`, ` ${token}`]) {
      expect(openExportToken(text, 'a secret')).toBeNull()
    }
  })
})
