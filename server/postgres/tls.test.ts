import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openTwoServers, query, type TwoServers } from '#server/testing/two-servers.ts'
import { testConnection } from './connection-test.ts'

let servers: TwoServers
beforeAll(async () => {
  servers = await openTwoServers()
})
afterAll(() => servers?.close())

const atTls = (params: string, user = 'postgres', password = servers.password) =>
  `postgres://${user}:${password}@127.0.0.1:${servers.securePort}/rowhouse?${params}`

async function isEncrypted(url: string): Promise<unknown> {
  const [row] = await query(url, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  return row?.ssl
}

describe('sslmode', () => {
  test.each([
    ['', true],
    ['sslmode=disable', false],
    ['sslmode=allow', false],
    ['sslmode=prefer', true],
    ['sslmode=require', true],
    ['ssl=true', true],
    ['requiressl=1', true],
    ['sslmode=require&sslnegotiation=direct', true],
    ['sslmode=require&ssl_min_protocol_version=TLSv1.3', true],
    ['sslmode=require&ssl_max_protocol_version=TLSv1.2', true],
    ['sslmode=require&channel_binding=require', true],
    ['channel_binding=prefer', true],
  ])('%j with a server that has TLS: encrypted is %j', async (params, expected) => {
    expect(await isEncrypted(atTls(params))).toBe(expected)
  })

  test.each([
    ['prefer', 'unencrypted', false],
    ['allow', 'encrypted', true],
  ])('%s falls back if the server refuses the login without it', async (mode, user, expected) => {
    expect(await isEncrypted(atTls(`sslmode=${mode}`, user, 'x'))).toBe(expected)
  })

  test.each(['', 'sslmode=allow', 'sslmode=prefer', 'sslmode=disable'])(
    '%j works with a server without TLS',
    async params => {
      expect(await testConnection(`${servers.readOnlyUrl}?${params}`)).toMatchObject({ ok: true })
    },
  )

  test('require and stricter modes fail with the reason', async () => {
    const place = `127.0.0.1:${servers.readOnlyPort}`
    for (const mode of ['require', 'verify-ca', 'verify-full', 'no-verify']) {
      expect(await testConnection(`${servers.readOnlyUrl}?sslmode=${mode}`)).toEqual({
        ok: false,
        reason: `${place} does not support TLS`,
      })
    }
    expect(
      await testConnection(`${servers.readOnlyUrl}?sslmode=require&sslnegotiation=direct`),
    ).toMatchObject({
      ok: false,
    })
  })

  test('the mode decides how certificates are checked', async () => {
    const named = `postgres://postgres:${servers.password}@db.test:${servers.securePort}/rowhouse?hostaddr=127.0.0.1`
    const root = `sslrootcert=${servers.certificate}`
    expect(await isEncrypted(`${named}&sslmode=verify-full&${root}`)).toBe(true)
    expect(await isEncrypted(atTls(`sslmode=verify-ca&${root}`))).toBe(true)
    expect(await isEncrypted(atTls(`sslmode=require&${root}`))).toBe(true)
    const refused = async (url: string) => (await testConnection(url)) as { ok: false; reason: string }
    expect(await refused(atTls(`sslmode=verify-full&${root}`))).toMatchObject({
      ok: false,
      reason: expect.stringContaining('names another host'),
    })
    for (const mode of ['verify-ca', 'verify-full']) {
      expect(await refused(`${named}&sslmode=${mode}`)).toMatchObject({
        ok: false,
        reason: expect.stringContaining('is not trusted: set sslrootcert'),
      })
    }
    expect(await refused(`${named}&sslrootcert=system`)).toMatchObject({ ok: false })
    expect(await refused(atTls('sslmode=verify-ca&sslrootcert=/no/such/file'))).toEqual({
      ok: false,
      reason: 'the URL has an unreadable file as sslrootcert: /no/such/file (ENOENT)',
    })
  })
})

describe('what the server may ask for', () => {
  test.each([
    ['require_auth=scram-sha-256', 'postgres', true],
    ['require_auth=!md5,!password', 'postgres', true],
    ['require_auth=md5', 'weak', true],
    ['require_auth=none', 'anybody', true],
    ['require_auth=scram-sha-256', 'weak', 'asks for the method md5, which require_auth forbids'],
    ['require_auth=!none', 'anybody', 'allows logins without authentication, which require_auth forbids'],
    ['sslmode=require&channel_binding=require', 'weak', 'does not bind the login to TLS'],
    ['sslmode=allow&channel_binding=require', 'postgres', 'does not bind the login to TLS'],
  ])('%s as %s: %j', async (params, user, expected) => {
    const outcome = await testConnection(atTls(params, user, user === 'postgres' ? servers.password : 'x'))
    if (expected === true) expect(outcome).toMatchObject({ ok: true })
    else expect(outcome).toEqual({ ok: false, reason: expect.stringContaining(String(expected)) })
  })
})
