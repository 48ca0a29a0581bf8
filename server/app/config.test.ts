import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, loadConfig } from './config.ts'

const URL_A = 'postgres://ann:s3cret@db.example.com:5432/shop'
const URL_B = 'postgres://owner:s3cret@db.example.com:5433/shop'
const KEYS = 'k1:7d0e2f9b4c6a81835f1e0d9c8b7a69584736251403f2e1d0cfbeadfc9b8a7765'
const STRONG = 'kJ8v2Qm0ZtR5wXy1Lc7Nf4Bh9Dg3Sa6P'

let dataDir: string

beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-config-'))
})

afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const operating = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8')
const QUOTAS = /`MAX_TASKS_PER_DAY`, `MAX_MESSAGES_PER_DAY` \| `(\d+)`, `(\d+)`/
const [, tasks, messages] = QUOTAS.exec(operating) ?? []
/** As the operator reads them. */
const DEFAULT_QUOTAS = { maxTasksPerDay: Number(tasks), maxMessagesPerDay: Number(messages) }

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

describe('with nothing set', () => {
  test('it serves this machine from the embedded database and migrates it', () => {
    expect(load()).toMatchObject({
      environment: 'development',
      host: '127.0.0.1',
      port: 3000,
      appUrl: 'http://localhost:3000',
      allowedOrigins: [],
      logLevel: 'info',
      database: { kind: 'embedded' },
      migrateOnStart: true,
      smtpUrl: null,
      emailFrom: 'Rowhouse <no-reply@localhost>',
      connectors: { allowLocal: false, allowPrivate: false },
      quotas: DEFAULT_QUOTAS,
    })
    expect(load().socialProviders).toEqual({ github: undefined, google: undefined })
    expect(load({ DATA_DIR: undefined, AUTH_SECRET: STRONG, ENCRYPTION_KEYS: KEYS }).dataDir).toBe(
      resolve('.rowhouse'),
    )
  })

  test('the secret is generated once and kept for its owner only', () => {
    const { authSecret } = load()
    expect(authSecret.length).toBeGreaterThan(40)
    expect(load().authSecret).toBe(authSecret)
    expect(readFileSync(join(dataDir, 'auth-secret'), 'utf8')).toBe(authSecret)
    expect(statSync(join(dataDir, 'auth-secret')).mode & 0o777).toBe(0o600)
  })

  test('a key that seals secrets is generated once and kept for its owner only', () => {
    const { encryptionKeys } = load()
    expect(encryptionKeys).toMatch(/^development:[0-9a-f]{64}$/)
    expect(load().encryptionKeys).toBe(encryptionKeys)
    expect(readFileSync(join(dataDir, 'encryption-keys'), 'utf8')).toBe(encryptionKeys)
    expect(statSync(join(dataDir, 'encryption-keys')).mode & 0o777).toBe(0o600)
  })

  test('an empty variable counts as absent', () => {
    expect(load({ PORT: '', DATABASE_URL: ' ', GITHUB_CLIENT_ID: '' })).toEqual(load())
  })

  test('the configuration can not be changed afterwards', () => {
    expect(() => Object.assign(load().quotas, { maxTasksPerDay: 1 })).toThrow(TypeError)
  })
})

test('values are read and brought into one form', () => {
  expect(
    load({
      NODE_ENV: 'test',
      PORT: '8080',
      HOST: '::',
      APP_URL: 'https://App.example.com/',
      ALLOWED_ORIGINS: 'https://a.example.com, https://b.example.com:8443/,',
      LOG_LEVEL: 'debug',
      AUTH_SECRET: STRONG,
      SMTP_URL: 'smtp://mail.example.com:587',
      EMAIL_FROM: 'hello@example.com',
      MIGRATE_ON_START: 'false',
      ALLOW_LOCAL_CONNECTORS: 'true',
      ALLOW_PRIVATE_ADDRESSES: '1',
      MAX_TASKS_PER_DAY: '20',
      GITHUB_CLIENT_ID: 'id',
      GITHUB_CLIENT_SECRET: 'secret',
    }),
  ).toMatchObject({
    environment: 'test',
    port: 8080,
    host: '::',
    appUrl: 'https://app.example.com',
    allowedOrigins: ['https://a.example.com', 'https://b.example.com:8443'],
    logLevel: 'debug',
    authSecret: STRONG,
    smtpUrl: 'smtp://mail.example.com:587',
    emailFrom: 'hello@example.com',
    migrateOnStart: false,
    connectors: { allowLocal: true, allowPrivate: true },
    quotas: { ...DEFAULT_QUOTAS, maxTasksPerDay: 20 },
    socialProviders: { github: { clientId: 'id', clientSecret: 'secret' } },
  })
})

describe('a wrong value is refused by name, with what is wrong and an example', () => {
  test.each([
    ['NODE_ENV', 'prod', 'development, production or test, not "prod"'],
    ['PORT', 'http', 'a port from 1 to 65535'],
    ['PORT', '70000', 'a port from 1 to 65535'],
    ['PORT', '30.5', 'a port from 1 to 65535'],
    ['HOST', 'not a host', 'an IP address or a host name, without a port, not "not a host"'],
    ['HOST', 'http://0.0.0.0', 'without a port'],
    ['HOST', '0.0.0.0:3000', 'without a port'],
    ['APP_URL', 'example.com', 'an http or https address'],
    ['APP_URL', 'ftp://example.com', 'an http or https address'],
    ['APP_URL', 'https://example.com/app', 'without a path'],
    ['ALLOWED_ORIGINS', '*', 'would let any page act'],
    ['ALLOWED_ORIGINS', 'https://a.example.com,b', 'separated by commas'],
    ['LOG_LEVEL', 'loud', 'fatal, error, warn'],
    ['MIGRATE_ON_START', 'yes', 'true or false'],
    ['ALLOW_LOCAL_CONNECTORS', 'yes', 'true or false'],
    ['ALLOW_PRIVATE_ADDRESSES', 'all', 'true or false'],
    ['MAX_TASKS_PER_DAY', '-1', 'a whole number above 0'],
    ['MAX_MESSAGES_PER_DAY', 'many', 'a whole number above 0'],
    ['SMTP_URL', 'mail.example.com', 'smtp:// or smtps://'],
    ['EMAIL_FROM', 'nobody', 'an address'],
    ['SIGN_UP', 'closed', 'open or private'],
    ['DB_METHOD', 'NEON', 'LOCAL_PROXY, NEON_BRANCH or PRODUCTION'],
    ['DATABASE_URL', 'postgres://ann@host:5432', 'names no database'],
    ['DATABASE_URL', `${URL_A}?service=shop`, 'has the service "shop", but pg_service.conf is not read'],
    ['EMBEDDED_POSTGRES', 'yes', 'true or false'],
    ['DIRECT_URL', 'mysql://ann@host:1/shop', 'has the protocol "mysql"'],
    ['API_DATABASE_URL', 'postgres://host:1/shop', 'names no user'],
  ])('%s=%s', (name, value, reason) => {
    const problem = problemsOf({ DATABASE_URL: URL_A, [name]: value }).find(line =>
      line.startsWith(`${name} `),
    )
    expect(problem).toContain(reason)
    expect(problem).toContain(`Example: ${name}=`)
  })

  test('all problems are told at once', () => {
    const env = { PORT: 'x', LOG_LEVEL: 'y', DATABASE_URL: 'z', SMTP_URL: 'q' }
    expect(() => load(env)).toThrow('The configuration has 4 problems:\n')
    for (const name of Object.keys(env)) expect(() => load(env)).toThrow(`\n  ${name} `)
  })

  test.each([
    ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET'],
    ['GITHUB_CLIENT_SECRET', 'GITHUB_CLIENT_ID'],
    ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET'],
    ['GOOGLE_CLIENT_SECRET', 'GOOGLE_CLIENT_ID'],
  ])('%s alone names %s as the missing half', (given, missing) => {
    expect(problemsOf({ [given]: 's3cret' })).toEqual([
      expect.stringMatching(`^${missing} is missing, and ${given} is set`),
    ])
  })

  test('no message holds a password or a secret', () => {
    const env = {
      NODE_ENV: 'production',
      AUTH_SECRET: 's3cret',
      DATABASE_URL: 'postgres://ann:s3cret@host/shop',
      DIRECT_URL: 'postgres://ann:s3cret',
      API_DATABASE_URL: 'ann:s3cret@host:5432/shop',
      SMTP_URL: 'http://ann:s3cret@mail.example.com',
      GITHUB_CLIENT_SECRET: 's3cret',
    }
    expect(problemsOf(env).length).toBeGreaterThanOrEqual(6)
    expect(problemsOf(env).join('\n')).not.toContain('s3cret')
  })

  test('a data directory that can not be made is named', () => {
    writeFileSync(join(dataDir, 'file'), '')
    expect(problemsOf({ DATA_DIR: join(dataDir, 'file') })).toEqual([
      expect.stringMatching(/^DATA_DIR can't hold/),
    ])
  })
})

describe('the database', () => {
  test('DIRECT_URL defaults to DATABASE_URL', () => {
    const both = { kind: 'external', url: URL_A, directUrl: URL_A, method: null }
    expect(load({ DATABASE_URL: URL_A }).database).toEqual(both)
    expect(load({ DATABASE_URL: URL_A, DIRECT_URL: URL_B }).database).toEqual({ ...both, directUrl: URL_B })
  })

  test('LOCAL_PROXY reads its own variable and turns TLS off', () => {
    const { database } = load({
      DB_METHOD: 'LOCAL_PROXY',
      DATABASE_URL: URL_B,
      DATABASE_URL_LOCAL_PROXY: `${URL_A}?sslmode=require`,
    })
    expect(database).toMatchObject({ url: `${URL_A}?sslmode=disable`, method: 'LOCAL_PROXY' })
    expect(problemsOf({ DB_METHOD: 'LOCAL_PROXY', DATABASE_URL: URL_A })).toEqual([
      expect.stringMatching(/^DATABASE_URL_LOCAL_PROXY is missing/),
    ])
  })

  test.each(['NEON_BRANCH', 'PRODUCTION'])('%s reads DATABASE_URL and insists on TLS', method => {
    const env = { DB_METHOD: method, AUTH_SECRET: STRONG, ENCRYPTION_KEYS: KEYS, DATABASE_URL: URL_A }
    expect(load(env).database).toMatchObject({ url: `${URL_A}?sslmode=verify-full`, method })
    expect(load({ ...env, DATABASE_URL: `${URL_A}?sslmode=require` }).database).toMatchObject({
      url: `${URL_A}?sslmode=require`,
    })
    for (const name of ['DATABASE_URL', 'DIRECT_URL', 'SYSTEM_DATABASE_URL']) {
      expect(problemsOf({ ...env, [name]: `${URL_A}?sslmode=disable` })).toEqual([
        expect.stringMatching(`^${name} asks for sslmode=disable`),
      ])
    }
    expect(problemsOf({ ...env, DATABASE_URL: undefined })).toEqual([
      expect.stringMatching(/^DATABASE_URL is missing/),
    ])
  })

  test('PRODUCTION is production, whatever NODE_ENV says', () => {
    const env = { DB_METHOD: 'PRODUCTION', AUTH_SECRET: STRONG, ENCRYPTION_KEYS: KEYS, DATABASE_URL: URL_A }
    for (const NODE_ENV of [undefined, 'development', 'test']) {
      expect(load({ ...env, NODE_ENV })).toMatchObject({
        environment: 'production',
        host: '0.0.0.0',
        migrateOnStart: false,
      })
    }
    expect(load({ ...env, DB_METHOD: 'NEON_BRANCH' }).environment).toBe('development')
  })

  const LOGINS = {
    API_DATABASE_URL: URL_A,
    PUBLIC_DATABASE_URL: URL_A,
    AUTH_DATABASE_URL: URL_A,
    SYSTEM_DATABASE_URL: URL_B,
  }

  test('a process with the four logins needs no owner, and then does not migrate', () => {
    const config = load(LOGINS)
    expect(config.database).toEqual({ kind: 'external', url: null, directUrl: null, method: null })
    expect(config.loginUrls).toEqual({ api: URL_A, public: URL_A, auth: URL_A, system: URL_B })
    expect(config.migrateOnStart).toBe(false)
    expect(problemsOf({ ...LOGINS, MIGRATE_ON_START: 'true' })).toEqual([
      expect.stringMatching(/^DIRECT_URL is missing, and MIGRATE_ON_START/),
    ])
  })

  test('some of the four without DATABASE_URL names the others', () => {
    const problems = problemsOf({ API_DATABASE_URL: URL_A, AUTH_DATABASE_URL: URL_A })
    expect(problems.map(line => line.split(' ')[0])).toEqual(['PUBLIC_DATABASE_URL', 'SYSTEM_DATABASE_URL'])
    expect(load({ DATABASE_URL: URL_A, API_DATABASE_URL: URL_B }).loginUrls.api).toBe(URL_B)
  })
})
