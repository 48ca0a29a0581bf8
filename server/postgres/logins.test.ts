import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { testConnection } from './connection-test.ts'
import { withCredentials, withDatabase } from './connection-url.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.ts'
import { LOGINS } from './login-names.ts'
import { scramVerifier } from './login-passwords.ts'
import { checkLogins, ensureLogins, loginPassword, loginUrls } from './logins.ts'
import { toPgConfig } from './postgres-client.ts'

const SECRET = 'a secret of this file alone'
const BASE = 'postgres://owner:s3cret@db.example.com:6432/shop?pgbouncer=true'

describe('the URLs', () => {
  test('each login has its own password, derived from the secret', () => {
    const passwords = LOGINS.map(login => loginPassword(SECRET, login))
    expect(new Set(passwords).size).toBe(4)
    expect(LOGINS.map(login => loginPassword(SECRET, login))).toEqual(passwords)
    expect(loginPassword('another secret', 'rowhouse_api')).not.toBe(passwords[0])
  })

  test('they keep host, database and parameters, and drop the owner', () => {
    const urls = loginUrls({ baseUrl: BASE, authSecret: SECRET })
    const password = loginPassword(SECRET, 'rowhouse_system')
    expect(urls.system).toBe(`postgres://rowhouse_system:${password}@db.example.com:6432/shop?pgbouncer=true`)
    expect(Object.values(urls).join()).not.toMatch(/owner|s3cret/)
  })

  test('an override replaces a derived URL, and without a base all four are needed', () => {
    const overrides = { api: BASE, public: BASE, auth: BASE, system: BASE }
    expect(loginUrls({ baseUrl: BASE, authSecret: SECRET, overrides: { auth: 'x' } }).auth).toBe('x')
    expect(loginUrls({ baseUrl: null, authSecret: SECRET, overrides })).toEqual({
      ...overrides,
      listen: BASE,
    })
    expect(() => loginUrls({ baseUrl: null, authSecret: SECRET, overrides: { api: BASE } })).toThrow(
      'rowhouse_public',
    )
  })
})

// Logins belong to a whole cluster, so these tests have their own.
describe('setting them up', () => {
  let dataDir: string
  let server: EmbeddedPostgres
  let ownerUrl: string

  beforeAll(async () => {
    dataDir = throwawayDirectory('logins')
    server = await startEmbeddedPostgres({ dataDir, isDurable: false, settings: { log_statement: 'all' } })
    ownerUrl = withCredentials(server.url, 'owner', 'owner')
    await run(server.url, `create role owner login createrole createdb password 'owner'`)
    await run(server.url, 'alter database rowhouse owner to owner')
    await run(server.url, `create role stranger login password 'stranger'`)
  })

  afterAll(async () => {
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test('before migrating, the error names the missing role and the command that creates it', async () => {
    await expect(ensureLogins(ownerUrl, SECRET)).rejects.toThrow(
      /role "rowhouse_api" does not exist: create it with npx kysely-migrate up --latest/,
    )
  })

  describe('by an owner that is not a superuser', () => {
    beforeAll(async () => {
      for (const login of LOGINS) await run(ownerUrl, `create role ${login} nologin`)
      await ensureLogins(ownerUrl, SECRET)
    })

    test('only the four logins can connect, and none may create temporary tables', async () => {
      const urls = loginUrls({ baseUrl: server.url, authSecret: SECRET })
      for (const url of Object.values(urls)) {
        expect(await testConnection(url)).toMatchObject({ ok: true })
        await expect(run(url, 'create temporary table t ()')).rejects.toThrow('permission denied')
        await expect(run(url, 'create schema s')).rejects.toThrow('permission denied')
      }
      const stranger = await testConnection(withCredentials(server.url, 'stranger', 'stranger'))
      expect(stranger).toMatchObject({
        ok: false,
        reason: expect.stringContaining('permission denied for database'),
      })
    })

    test('the password appears neither in the catalog nor in the log of the server', async () => {
      const [row] = await run(server.url, `select rolpassword from pg_authid where rolname = 'rowhouse_api'`)
      expect(row).toEqual({ rolpassword: expect.stringMatching(/^SCRAM-SHA-256\$4096:/) })
      const log = readFileSync(join(dataDir, 'postgres.log'), 'utf8')
      expect(log).toContain('alter role rowhouse_api login password')
      for (const login of LOGINS) expect(log).not.toContain(loginPassword(SECRET, login))
    })

    test('settings that are already right are not written again', async () => {
      const passwords = () =>
        run(server.url, `select rolpassword from pg_authid where rolname like 'rowhouse%'`)
      const before = await passwords()
      await ensureLogins(ownerUrl, SECRET)
      expect(await passwords()).toEqual(before)
    })

    test('another secret is refused, in whatever database, and changes no password', async () => {
      const urls = loginUrls({ baseUrl: server.url, authSecret: SECRET })
      await run(server.url, 'create database second owner owner')
      for (const url of [ownerUrl, withDatabase(ownerUrl, 'second')]) {
        for (const attempt of [checkLogins, ensureLogins]) {
          await expect(attempt(url, 'another secret')).rejects.toThrow(
            /^rowhouse_api has another password .* nothing was changed.*AUTH_SECRET.*API_DATABASE_URL.*another Postgres server.*kysely-migrate logins --reset$/,
          )
        }
        await checkLogins(url, SECRET)
      }
      for (const url of Object.values(urls)) expect(await testConnection(url)).toMatchObject({ ok: true })
      await ensureLogins(withDatabase(ownerUrl, 'second'), SECRET)
    })

    test('a password that the operator has set is not changed', async () => {
      await run(server.url, `alter role rowhouse_api password 'set by hand'`)
      await expect(ensureLogins(ownerUrl, SECRET)).rejects.toThrow('rowhouse_api has another password')
      const byHand = withCredentials(server.url, 'rowhouse_api', 'set by hand')
      await ensureLogins(ownerUrl, SECRET, { overrides: { api: byHand } })
      expect(await testConnection(byHand)).toMatchObject({ ok: true })
      await ensureLogins(ownerUrl, SECRET, { mayReplace: true })
    })

    test('if two installations start at once on a new server, one is refused', async () => {
      for (const login of LOGINS) await run(server.url, `alter role ${login} nologin`)
      const secrets = ['one secret', 'two secrets']
      const outcomes = await Promise.allSettled(secrets.map(secret => ensureLogins(ownerUrl, secret)))
      const refused = outcomes.filter(({ status }) => status === 'rejected')
      expect(refused.length).toBeGreaterThanOrEqual(1)
      const { api } = loginUrls({ baseUrl: server.url, authSecret: secrets[0] ?? '' })
      const isFirst = (await testConnection(api)).ok
      expect(outcomes[isFirst ? 1 : 0]).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringContaining('has another password') },
      })
      await ensureLogins(ownerUrl, SECRET, { mayReplace: true })
    })

    test('another secret replaces the passwords if allowed, and an overridden login keeps its own', async () => {
      const old = loginUrls({ baseUrl: server.url, authSecret: SECRET })
      await ensureLogins(ownerUrl, 'another secret', { overrides: { auth: BASE }, mayReplace: true })
      expect(await testConnection(old.api)).toMatchObject({ ok: false })
      expect(await testConnection(old.auth)).toMatchObject({ ok: true })
      await ensureLogins(ownerUrl, SECRET, { mayReplace: true })
      expect(await testConnection(old.api)).toMatchObject({ ok: true })
    })

    test('two databases of a cluster, and two processes on one database, may set up the logins at once', async () => {
      const names = ['one', 'two', 'three']
      for (const name of names) await run(server.url, `create database ${name} owner owner`)
      for (const login of LOGINS) await run(server.url, `alter role ${login} nologin`)
      const urls = names.map(name => withDatabase(ownerUrl, name))
      await Promise.all([...urls, ...urls].map(url => ensureLogins(url, SECRET)))
      for (const url of urls) {
        const { api } = loginUrls({ baseUrl: url, authSecret: SECRET })
        expect(await testConnection(api)).toMatchObject({ ok: true })
      }
    })

    test('the error for an owner without the right names the statement that a superuser should run', async () => {
      await run(server.url, `create role weak login password 'weak'`)
      await run(server.url, 'create database weak owner weak')
      const weakUrl = withDatabase(withCredentials(server.url, 'weak', 'weak'), 'weak')
      await ensureLogins(weakUrl, SECRET)
      await expect(ensureLogins(weakUrl, 'a third secret', { mayReplace: true })).rejects.toThrow(
        /"weak" may not set the password of rowhouse_api\. As a superuser run: alter role "weak" createrole; grant .*API_DATABASE_URL/,
      )
      await run(server.url, 'alter database weak owner to owner')
      await run(server.url, 'grant all on database weak to public')
      await expect(ensureLogins(weakUrl, SECRET)).rejects.toThrow(
        /may not grant the right to connect .* run: revoke all on database "weak" from public;/,
      )
    })
  })

  test('the verifier equals the one that Postgres computes from the password', async () => {
    await run(server.url, `create role sample password 'pencil'`)
    const [row] = await run(
      server.url,
      `select rolpassword as verifier from pg_authid where rolname = 'sample'`,
    )
    const { verifier } = row as { verifier: string }
    const salt = Buffer.from(/:([^$]+)\$/.exec(verifier)?.[1] ?? '', 'base64')
    expect(scramVerifier('pencil', salt)).toBe(verifier)
  })
})

async function run(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(toPgConfig(url))
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
