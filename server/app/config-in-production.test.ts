import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, loadConfig, loadOwnerConfig } from './config.ts'

const URL_A = 'postgres://ann:s3cret@db.example.com:5432/shop'
const KEYS = 'k1:7d0e2f9b4c6a81835f1e0d9c8b7a69584736251403f2e1d0cfbeadfc9b8a7765'
const STRONG = 'kJ8v2Qm0ZtR5wXy1Lc7Nf4Bh9Dg3Sa6P'

let dataDir: string

beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-config-'))
})

afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const load = (env: Record<string, string | undefined> = {}) => loadConfig({ DATA_DIR: dataDir, ...env })

function problemsOf(env: Record<string, string | undefined>): readonly string[] {
  try {
    load(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('in production', () => {
  const PRODUCTION = {
    NODE_ENV: 'production',
    AUTH_SECRET: STRONG,
    ENCRYPTION_KEYS: KEYS,
    DATABASE_URL: URL_A,
  }

  test('commands that migrate need no encryption keys and make none', () => {
    const { ENCRYPTION_KEYS, ...environment } = PRODUCTION
    expect(loadOwnerConfig(environment)).toMatchObject({ environment: 'production', authSecret: STRONG })
    expect(problemsOf(environment)).toEqual([expect.stringContaining('ENCRYPTION_KEYS is missing')])
    const keyless = mkdtempSync(join(tmpdir(), 'rowhouse-config-'))
    loadOwnerConfig({ DATA_DIR: keyless })
    expect(readdirSync(keyless)).toEqual(['auth-secret'])
    rmSync(keyless, { recursive: true })
  })

  test('it listens on every address and leaves migrating to the deployment', () => {
    expect(load(PRODUCTION)).toMatchObject({ host: '0.0.0.0', migrateOnStart: false, authSecret: STRONG })
    expect(load({ ...PRODUCTION, MIGRATE_ON_START: 'true' }).migrateOnStart).toBe(true)
    expect(load({ ...PRODUCTION, DATABASE_URL: '', EMBEDDED_POSTGRES: 'true' })).toMatchObject({
      database: { kind: 'embedded' },
      migrateOnStart: true,
    })
  })

  test.each([
    ['', 'is missing'],
    ['short', 'has 5 characters'],
    ['change-me-change-me-change-me-change-me', 'placeholder'],
    ['your-secret-goes-here-0123456789abcdef', 'placeholder'],
    ['abababababababababababababababababababab', 'repeats'],
  ])('the secret %j is refused', (secret, reason) => {
    for (const env of [
      { ...PRODUCTION },
      { DB_METHOD: 'PRODUCTION', ENCRYPTION_KEYS: KEYS, DATABASE_URL: URL_A },
    ]) {
      expect(problemsOf({ ...env, AUTH_SECRET: secret })).toEqual([expect.stringContaining(reason)])
    }
  })

  test.each([
    ['', /^ENCRYPTION_KEYS is missing; .* Example: ENCRYPTION_KEYS=k1:\$\(openssl rand -hex 32\)$/],
    [KEYS.slice(3), 'has no id before its key 1'],
    [`${KEYS},${KEYS}`, 'names the key "k1" twice'],
    ['k1:a passphrase of a few words', /a key "k1" that has 27 characters, and production wants at least 32/],
    [`${KEYS},k2:change-me-change-me-change-me-change-me`, 'a key "k2" that is a development or placeholder'],
  ])('the keys %j are refused, in words that hold none', (keys, reason) => {
    const [problem, ...others] = problemsOf({ ...PRODUCTION, ENCRYPTION_KEYS: keys })
    expect(others).toEqual([])
    expect(problem).toMatch(/^ENCRYPTION_KEYS /)
    expect(problem).toMatch(reason)
    for (const part of keys.split(/[:,]/).filter(part => part.length > 9)) expect(problem).not.toContain(part)
  })

  test('a key that was generated for development opens and does not seal', () => {
    const { encryptionKeys } = load()
    expect(problemsOf({ ...PRODUCTION, ENCRYPTION_KEYS: encryptionKeys })).toEqual([
      expect.stringMatching(/^ENCRYPTION_KEYS seals with a key that was generated for development/),
    ])
    expect(problemsOf({ ...PRODUCTION, ENCRYPTION_KEYS: `${KEYS},${encryptionKeys}` })).toEqual([])
  })

  test('a secret that was generated for development is refused', () => {
    expect(problemsOf({ ...PRODUCTION, AUTH_SECRET: load().authSecret })).toEqual([
      expect.stringMatching(/^AUTH_SECRET is a development or placeholder secret/),
    ])
  })
})

test('a private sign-up needs mails in production', () => {
  const env = {
    NODE_ENV: 'production',
    DATABASE_URL: URL_A,
    AUTH_SECRET: STRONG,
    ENCRYPTION_KEYS: KEYS,
    SIGN_UP: 'private',
  }
  expect(problemsOf(env)).toEqual([expect.stringMatching(/^SMTP_URL is missing, and with SIGN_UP=private/)])
  expect(load({ ...env, SMTP_URL: 'smtp://mail.example.com' }).signUp).toBe('private')
  expect(load().signUp).toBe('open')
})
