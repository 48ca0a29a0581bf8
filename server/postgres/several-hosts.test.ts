import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { openTwoServers, query, type TwoServers } from '#server/testing/two-servers.ts'
import { testConnection } from './connection-test.ts'
import { parseConnectionUrl } from './connection-url.ts'
import { startEmbeddedPostgres } from './embedded/postgres.ts'
import { poolConfig } from './postgres-client.ts'

let servers: TwoServers
beforeAll(async () => {
  servers = await openTwoServers()
})
afterAll(() => servers?.close())

const user = () => `postgres:${servers.password}`

describe('several hosts', () => {
  const portOf = async (params: string, hosts: string) => {
    const [row] = await query(
      `postgres://${hosts}/rowhouse?${params}`,
      `select current_setting('port')::int as port`,
    )
    return row?.port
  }
  const both = () => [`127.0.0.1:${servers.securePort}`, `127.0.0.1:${servers.readOnlyPort}`]

  test('the first host that answers is used', async () => {
    const [one, two] = both()
    expect(await portOf('', `${user()}@127.0.0.1:1,${two}`)).toBe(servers.readOnlyPort)
    expect(await portOf('', `${user()}@no.such.host.invalid,${one}`)).toBe(servers.securePort)
    expect(await portOf('', `${user()}@${one},${two}`)).toBe(servers.securePort)
    expect(
      await portOf(
        `host=127.0.0.1,127.0.0.1&port=1,${servers.readOnlyPort}&user=postgres&password=${servers.password}`,
        '',
      ),
    ).toBe(servers.readOnlyPort)
  })

  test.each([
    ['any', 'writable'],
    ['read-write', 'writable'],
    ['primary', 'writable'],
    ['read-only', 'read-only'],
    ['prefer-standby', 'writable'],
  ])('target_session_attrs=%s finds the %s one, first or last', async (kind, expected) => {
    const port = expected === 'writable' ? servers.securePort : servers.readOnlyPort
    const [one, two] = both()
    expect(await portOf(`target_session_attrs=${kind}`, `${user()}@${one},${two}`)).toBe(port)
    if (kind === 'read-write' || kind === 'read-only') {
      expect(await portOf(`target_session_attrs=${kind}`, `${user()}@${two},${one}`)).toBe(port)
    }
  })

  test('if no host is of the wanted kind, the reason names each host', async () => {
    const outcome = await testConnection(
      `postgres://${user()}@${both().join(',')}/rowhouse?target_session_attrs=standby`,
    )
    expect(outcome).toEqual({
      ok: false,
      reason: `127.0.0.1:${servers.securePort}: the server is a primary that accepts writes, and target_session_attrs=standby; 127.0.0.1:${servers.readOnlyPort}: the server is read-only, and target_session_attrs=standby`,
    })
  })

  test('load_balance_hosts=random uses all hosts', async () => {
    const seen = new Set<unknown>()
    const url = `${user()}@${both().join(',')}`
    await expect.poll(async () => seen.add(await portOf('load_balance_hosts=random', url)).size).toBe(2)
  })

  test('a pool tries the next host if the first one drops all packets', async () => {
    const silent = createServer(() => {})
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const pool = new pg.Pool(
      poolConfig(
        `postgres://${user()}@127.0.0.1:${port},127.0.0.1:${servers.securePort}/rowhouse?connect_timeout=1&target_session_attrs=read-write`,
      ),
    )
    try {
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      const outcome = await testConnection(
        `postgres://ann:x@127.0.0.1:${port}/shop?sslmode=disable&connect_timeout=1`,
      )
      expect(outcome).toMatchObject({
        reason: expect.stringMatching(/accepted the connection but did not answer the login/),
      })
    } finally {
      await pool.end()
      silent.close()
    }
  })

  test('a wrong password is not tried on the next host', async () => {
    expect(await testConnection(`postgres://postgres:x@${both().join(',')}/rowhouse`)).toEqual({
      ok: false,
      reason: `127.0.0.1:${servers.securePort}: the password for user "postgres" is wrong, or the user does not exist`,
    })
  })
})

test('a URL names a socket by its directory, and the password may be in a file', async () => {
  const directory = throwawayDirectory('sockets')
  chmodSync(directory, 0o777)
  const server = await startEmbeddedPostgres({
    dataDir: directory,
    isDurable: false,
    settings: { unix_socket_directories: directory },
  })
  try {
    const { password, port } = parseConnectionUrl(server.url)
    const data = join(directory, 'postgres', 'data')
    writeFileSync(join(data, 'pg_hba.conf'), 'local all all scram-sha-256\nhost all all all scram-sha-256\n')
    await query(server.url, 'select pg_reload_conf()')
    const passfile = join(directory, 'passfile')
    const lines = ['# ours', 'other:*:*:*:wrong', `*:${port}:rowhouse:postgres:${password}`, '']
    writeFileSync(passfile, lines.join('\n'), { mode: 0o600 })
    const escaped = encodeURIComponent(directory)
    for (const url of [
      `postgres://postgres:${password}@${escaped}:${port}/rowhouse`,
      `postgres:///rowhouse?host=${directory}&user=postgres&port=${port}&passfile=${passfile}`,
      `postgres://postgres@${escaped}:${port}/rowhouse?passfile=${passfile}&sslmode=require`,
    ]) {
      await expect.poll(() => testConnection(url)).toMatchObject({ ok: true })
    }
    chmodSync(passfile, 0o644)
    expect(
      await testConnection(`postgres://postgres@${escaped}:${port}/rowhouse?passfile=${passfile}`),
    ).toEqual({ ok: false, reason: 'the server asks for a password, but the URL has none' })
    expect(await testConnection(`postgres://ann@${escaped}:1/rowhouse`)).toEqual({
      ok: false,
      reason: `the socket ${directory}/.s.PGSQL.1 does not exist`,
    })
  } finally {
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
})
