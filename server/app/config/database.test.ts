import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../config.ts'

const URL = 'postgres://ann:s3cret@db.example.com:5432/shop'
const KEY = '7d0e2f9b4c6a81835f1e0d9c8b7a69584736251403f2e1d0cfbeadfc9b8a7765'
const PRODUCTION = {
  NODE_ENV: 'production',
  AUTH_SECRET: 'kJ8v2Qm0ZtR5wXy1Lc7Nf4Bh9Dg3Sa6P',
  ENCRYPTION_KEYS: `k1:${KEY}`,
}

const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-config-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

type Env = Record<string, string | undefined>
const load = (env: Env) => loadConfig({ DATA_DIR: dataDir, ...env })
const urlOf = (env: Env) => {
  const { database } = load(env)
  return database.kind === 'external' ? database.url : null
}

function problemsOf(env: Env): readonly string[] {
  try {
    load(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('two names of one variable', () => {
  test('POSTGRES_URL is DATABASE_URL', () => {
    expect(urlOf({ POSTGRES_URL: URL })).toBe(URL)
    expect(urlOf({ POSTGRES_URL: URL, DATABASE_URL: ' ' })).toBe(URL)
    expect(
      urlOf({
        POSTGRES_URL: URL,
        DATABASE_URL: URL.replace('postgres:', 'postgresql:').replace(':5432', ''),
      }),
    ).toBe(URL)
    expect(problemsOf({ POSTGRES_URL: URL, DATABASE_URL: `${URL}2` })).toEqual([
      'POSTGRES_URL and DATABASE_URL are two names of one variable and say different things: set one of them',
    ])
    expect(problemsOf({ POSTGRES_URL: 'postgres://ann@host' })).toEqual([
      expect.stringMatching(/^POSTGRES_URL names no database/),
    ])
  })

  test('ENCRYPTION_KEY is the key k1 of ENCRYPTION_KEYS', () => {
    expect(load({ ENCRYPTION_KEY: KEY }).encryptionKeys).toBe(`k1:${KEY}`)
    expect(
      load({ ...PRODUCTION, DATABASE_URL: URL, ENCRYPTION_KEYS: '', ENCRYPTION_KEY: KEY }),
    ).toMatchObject({ encryptionKeys: `k1:${KEY}` })
    const ring = `k2:${KEY.replace('7d', '8e')},k1:${KEY}`
    expect(load({ ENCRYPTION_KEYS: ring, ENCRYPTION_KEY: KEY.toUpperCase() }).encryptionKeys).toBe(ring)
    const problems = problemsOf({ ENCRYPTION_KEYS: ring, ENCRYPTION_KEY: KEY.replace('7d', '9f') })
    expect(problems).toEqual([expect.stringMatching(/^ENCRYPTION_KEY and ENCRYPTION_KEYS are two names/)])
    expect(problems.join()).not.toContain(KEY.slice(2))
    expect(problemsOf({ ENCRYPTION_KEY: KEY.slice(1) })).toEqual([
      expect.stringMatching(/^ENCRYPTION_KEY must be one key of 64 hex digits/),
    ])
  })
})

describe('the embedded database', () => {
  test.each([
    [
      { ...PRODUCTION },
      /^DATABASE_URL is missing, and production starts no embedded database unless EMBEDDED/,
    ],
    [{ EMBEDDED_POSTGRES: 'false' }, /^DATABASE_URL is missing, and EMBEDDED_POSTGRES is false/],
    [{ PGHOST: 'db.example.com' }, /^DATABASE_URL is missing, and PGHOST names a database/],
    [{ PGSERVICE: 'shop' }, /^DATABASE_URL is missing, and PGSERVICE names a database/],
    [{ EMBEDDED_POSTGRES: 'true', DATABASE_URL: URL }, /^EMBEDDED_POSTGRES is true, and DATABASE_URL names/],
    [{ EMBEDDED_POSTGRES: 'true', DIRECT_URL: URL }, /^EMBEDDED_POSTGRES is true, and DIRECT_URL names/],
  ])('does not start in place of another one: %j', (env, problem) => {
    expect(problemsOf(env)).toEqual([expect.stringMatching(problem)])
  })

  test('starts in production, and beside a PGHOST, when EMBEDDED_POSTGRES asks for it', () => {
    const env = { ...PRODUCTION, EMBEDDED_POSTGRES: 'true', PGHOST: 'db.example.com', PGTZ: 'UTC' }
    expect(load(env).database).toEqual({ kind: 'embedded' })
    expect(load({ PGUSER: 'ann', PGPASSWORD: 'x', PGSSLMODE: 'nonsense' }).database).toEqual({
      kind: 'embedded',
    })
  })
})

describe("libpq's variables", () => {
  test('complete what a URL leaves out', () => {
    const PG = {
      PGHOST: 'one,two',
      PGPORT: '1,2',
      PGUSER: 'ann',
      PGPASSWORD: 'p@ss',
      PGDATABASE: 'shop',
      PGSSLMODE: 'verify-full',
      PGSSLROOTCERT: '/ca.pem',
      PGAPPNAME: 'a+b',
      PGTARGETSESSIONATTRS: 'primary',
    }
    expect(urlOf({ DATABASE_URL: 'postgres://', ...PG })).toBe(
      'postgres://ann:p%40ss@one:1,two:2/shop?application_name=a%2Bb&sslmode=verify-full&sslrootcert=%2Fca.pem&target_session_attrs=primary',
    )
    expect(urlOf({ DATABASE_URL: `${URL}?sslmode=disable`, PGSSLMODE: 'require', PGPORT: '1' })).toBe(
      `${URL}?sslmode=disable`,
    )
    expect(urlOf({ DATABASE_URL: URL, PGREQUIRESSL: '1' })).toBe(`${URL}?sslmode=require`)
  })

  test.each([
    ['PGSSLMODE', 'verify_full', 'not one of disable, allow'],
    ['PGSERVICE', 'shop', 'pg_service.conf is not read'],
    ['PGGSSENCMODE', 'require', 'does not support GSSAPI'],
    ['PGKRBSRVNAME', 'postgres', 'does not support GSSAPI'],
    ['PGCLIENTENCODING', 'LATIN1', 'supports only UTF8'],
    ['PGDATESTYLE', 'German', 'would change the values that sessions read'],
    ['PGTZ', 'Asia/Tokyo', 'would change the values that sessions read'],
    ['PGREQUIREPEER', 'postgres', 'does not report the owner'],
    ['PGCONNECT_TIMEOUT', 'soon', 'not a whole number'],
    ['PGMINPROTOCOLVERSION', '3.2', 'supports only protocol version 3.0'],
    ['PGTARGETSESSIONATTRS', 'master', 'not one of any'],
    ['PGLOADBALANCEHOSTS', 'yes', 'not one of disable and random'],
  ])('%s=%s is refused by name', (variable, value, reason) => {
    expect(problemsOf({ DATABASE_URL: URL, [variable]: value })).toEqual([
      expect.stringMatching(new RegExp(`^${variable} .*${reason}`)),
    ])
  })
})
