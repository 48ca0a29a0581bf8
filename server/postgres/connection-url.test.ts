import { createServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { testConnection } from './connection-test.ts'
import {
  ConnectionUrlError,
  formatConnectionUrl,
  hostsOf,
  insistOnTls,
  isPgbouncer,
  maskUrl,
  parseConnectionUrl,
  withCredentials,
  withDatabase,
  withoutTls,
} from './connection-url.ts'
import { toPgConfig } from './postgres-client.ts'

const URL = 'postgres://ann:s3cret@db.example.com:6432/shop?pgbouncer=true'

describe('reading a URL', () => {
  test('every part is parsed and decoded', () => {
    const parts = parseConnectionUrl('postgresql://an%40n:p%3Aw@[::1]:5432/my%20shop?sslmode=require')
    expect(parts).toMatchObject({
      user: 'an@n',
      password: 'p:w',
      host: '::1',
      port: 5432,
      database: 'my shop',
    })
    expect(parts.params.get('sslmode')).toBe('require')
  })

  test.each([
    ['//ann:s3cret@host:5432/shop', 'names no protocol'],
    ['postgres://ann:s3cret', 'names no user and database in'],
    ['postgres://ann:s3cret@@:5432/shop', 'names no host in'],
    ['ann:s3cret@host:5432/shop', 'names no protocol in'],
    ['postgres://host:5432/shop', 'names no user in'],
    ['postgres://:s3cret@host:5432/shop', 'names no user in'],
    ['postgres://ann:s3cret@:5432/shop', 'names no host in'],
    ['postgres://ann:s3cret@host:5432', 'names no database in'],
    ['postgres://ann:s3cret@host:5432/', 'names no database in'],
    ['postgres://ann:s3cret@host', 'names no database in'],
    ['postgres://ann:s3cret@host,/shop', 'an empty entry in its list of hosts'],
    ['postgres://ann:s3cret@host:54a2/shop', 'no port from 1 to 65535'],
    ['postgres://ann:s3cret@[::1/shop', 'no port from 1 to 65535'],
    ['postgres://ann:s3cret@host/shop?sslmode', 'a parameter without "="'],
    ['postgres://ann:s3cret@host/shop?hostaddr=10.0.0.1,10.0.0.2', 'has 1 entries in its host for 2 hosts'],
    ['postgres://ann:s3cret@%40socket/shop', 'abstract namespace'],
    ['mysql://ann:s3cret@host:5432/shop', 'protocol "mysql"'],
    ['postgres://ann:s3cret@host:99999/shop', 'no port from 1 to 65535'],
    ['postgres://ann:s3cret%@host:5432/shop', 'an unencoded %'],
    ['', 'names no protocol, user, host and database'],
  ])('%s is refused; the error has the reason and not the password', (url, reason) => {
    const attempt = () => parseConnectionUrl(url)
    expect(attempt).toThrow(ConnectionUrlError)
    expect(attempt).toThrow(reason)
    expect(attempt).not.toThrow(/s3cret/)
  })

  test('a password with unencoded reserved characters is parsed and formatted encoded', () => {
    const url = 'postgres://ann:p@s/s#w:rd@host:5432/shop'
    expect(parseConnectionUrl(url)).toMatchObject({
      user: 'ann',
      password: 'p@s/s#w:rd',
      host: 'host',
    })
    expect(withDatabase(url, 'other')).toBe('postgres://ann:p%40s%2Fs%23w%3Ard@host:5432/other')
  })
})

describe("libpq's forms of a URL", () => {
  test.each([
    ['postgres://ann:x@ep-cool-1.neon.tech/shop?sslmode=require', 'ann x ep-cool-1.neon.tech:5432 shop'],
    ['postgresql://ann:x@host:/shop', 'ann x host:5432 shop'],
    ['postgres://ann:@host/shop', 'ann null host:5432 shop'],
    ['postgres://ann@one,two:2,[::1]:3/shop', 'ann null one:5432 two:2 ::1:3 shop'],
    ['postgres://ann@%2Fvar%2Frun%2Fpostgresql/shop', 'ann null /var/run/postgresql:5432 shop'],
    ['postgres:///shop?host=/tmp&user=ann&port=1&password=a%26b', 'ann a&b /tmp:1 shop'],
    ['postgres://bob:y@old:1/x?host=one,two&port=2&dbname=shop&user=ann', 'ann y one:2 two:2 shop'],
    ['postgres://ann@fe80::1/shop', 'has no port'],
    ['postgres://ann@[fe80::1%25eth0]:1/shop', 'ann null fe80::1%eth0:1 shop'],
    ['postgres://ann:p@ss/w@host:5432/shop', 'ann p@ss/w host:5432 shop'],
    ['postgres://ann:p@ss@host/shop', 'ann p@ss host:5432 shop'],
    ['postgres://ann:p?w@host/shop?sslmode=require', 'ann p?w host:5432 shop'],
    ['postgres://ann:x@host/shop?sslrootcert=/home/me@corp/ca.pem', 'ann x host:5432 shop'],
    ['postgres://ann:x@host/shop@home', 'ann x host:5432 shop@home'],
    ['postgres://%61nn:%40@h%6Fst/sh%6Fp', 'ann @ host:5432 shop'],
  ])('%s', (url, expected) => {
    const read = () => {
      const parts = parseConnectionUrl(url)
      const { user, password, database } = parts
      return [user, password, ...hostsOf(parts).map(({ host, port }) => `${host}:${port}`), database].join(
        ' ',
      )
    }
    if (expected.startsWith('has')) expect(read).toThrow(expected)
    else {
      expect(read().replace('ann  ', 'ann null ')).toBe(expected)
      const again = formatConnectionUrl(parseConnectionUrl(url))
      expect(formatConnectionUrl(parseConnectionUrl(again))).toBe(again)
    }
  })

  test('hostaddr is the address to connect to, and host the name in the certificate', () => {
    const { ssl, host } = toPgConfig('postgres://ann@db.test/shop?hostaddr=10.0.0.1&sslmode=verify-full')
    expect(host).toBe('10.0.0.1')
    expect(ssl).toMatchObject({ servername: 'db.test', host: 'db.test' })
  })

  test('a + is a plus sign, and the last value of a repeated parameter counts', () => {
    const url = 'postgres://ann@host/shop?application_name=x&application_name=a+b&options=-c%20x%3D1'
    expect(toPgConfig(url)).toMatchObject({ application_name: 'a+b', options: '-c x=1' })
    expect(toPgConfig(withDatabase(url, 'other'))).toMatchObject({
      application_name: 'a+b',
      options: '-c x=1',
    })
  })

  test.each([
    'service=x',
    'servicefile=x',
    'gssencmode=require',
    'krbsrvname=x',
    'gsslib=gssapi',
    'gssdelegation=1',
    'requirepeer=postgres',
    'tcp_user_timeout=1000',
    'keepalives_interval=5',
    'keepalives_count=5',
    'keepalives_idle=soon',
    'client_encoding=LATIN1',
    'sslcompression=1',
    'sslsni=0',
    'sslcertmode=require',
    'sslkeylogfile=/tmp/keys',
    'sslnegotiation=direct',
    'sslrootcert=system&sslmode=require',
    'ssl_min_protocol_version=SSLv3',
    'ssl_max_protocol_version=TLSv1.1',
    'min_protocol_version=3.2',
    'require_auth=kerberos',
    'require_auth=md5,!password',
    'channel_binding=yes',
    'replication=database',
    'target_session_attrs=master',
    'load_balance_hosts=1',
    'scram_client_key=s3cret',
    'oauth_client_secret=s3cret',
    'oauth_issuer=https://id.example.com',
    'connect_timeout=soon',
    'sslmod=require',
    'schema=mine',
    'pgbouncer=yes',
  ])('%s is refused by name', params => {
    const attempt = () => parseConnectionUrl(`postgres://ann@host/shop?${params}`)
    expect(attempt).toThrow(ConnectionUrlError)
    expect(attempt).toThrow(params.split(/[=&]/)[0])
    expect(attempt).not.toThrow(/s3cret/)
  })

  test.each([
    'keepalives=0',
    'keepalives_idle=30',
    'tcp_user_timeout=0',
    'gssencmode=prefer',
    'client_encoding=UTF8',
    'sslcompression=0',
    'max_protocol_version=latest',
    'fallback_application_name=x',
    'connection_limit=1',
    'schema=public',
    'sslsni=1',
  ])('%s is accepted', params => {
    expect(parseConnectionUrl(`postgres://ann@host/shop?${params}`).params.size).toBe(1)
  })
})

test('credentials and database can be changed while host and parameters stay', () => {
  expect(withCredentials(URL, 'bob', 'x/y')).toBe(
    'postgres://bob:x%2Fy@db.example.com:6432/shop?pgbouncer=true',
  )
  expect(withDatabase(URL, 'other')).toBe('postgres://ann:s3cret@db.example.com:6432/other?pgbouncer=true')
})

test('masking hides the password and nothing else', () => {
  expect(maskUrl(URL)).toBe('postgres://ann:***@db.example.com:6432/shop?pgbouncer=true')
  expect(maskUrl('postgres://ann:p@s@host:5432/shop')).toBe('postgres://ann:***@host:5432/shop')
  expect(maskUrl('postgres://ann:a?b@host:5432/shop?sslpassword=x')).toBe(
    'postgres://ann:***@host:5432/shop?sslpassword=***',
  )
  expect(maskUrl('postgres://ann:s3cret')).toBe('postgres://ann:***')
  expect(maskUrl('postgres://ann@host:5432/shop')).toBe('postgres://ann@host:5432/shop')
  expect(maskUrl('postgres://host:5432/shop')).toBe('postgres://host:5432/shop')
})

test('pgbouncer=true marks a pooler, and is not passed to pg', () => {
  expect(isPgbouncer(URL)).toBe(true)
  expect(isPgbouncer(withCredentials('postgres://a@h:1/d', 'b', null))).toBe(false)
  const { plan, ...rest } = toPgConfig(URL)
  expect(rest).toEqual({
    user: 'ann',
    password: 's3cret',
    host: 'db.example.com',
    port: 6432,
    database: 'shop',
    ssl: false,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
})

describe('TLS', () => {
  const tls = (url: string) => toPgConfig(url).ssl

  test('a missing sslmode becomes verify-full if TLS is required', () => {
    expect(tls(insistOnTls(URL))).toMatchObject({ rejectUnauthorized: true })
    expect(tls(insistOnTls(URL))).not.toHaveProperty('checkServerIdentity')
  })

  test('require encrypts without checking the certificate, as libpq documents it', () => {
    expect(tls(insistOnTls(`${URL}&sslmode=require`))).toMatchObject({ rejectUnauthorized: false })
  })

  test.each(['disable', 'allow', 'prefer'])('sslmode=%s is refused if TLS is required', mode => {
    expect(() => insistOnTls(`${URL}&sslmode=${mode}`)).toThrow(`sslmode=${mode}`)
  })

  test.each(['required', 'VERIFY-FULL', 'verify_full', ''])(
    'sslmode=%s is an error, and never means plain text',
    mode => {
      expect(() => tls(`${URL}&sslmode=${mode}`)).toThrow(
        `has the sslmode "${mode}", which is not one of disable, allow, prefer, require, no-verify, verify-ca and verify-full`,
      )
    },
  )

  test('ssl=true means require, as libpq documents it, and sslmode overrides it', () => {
    expect(tls(`${URL}&ssl=true`)).toMatchObject({ rejectUnauthorized: false })
    expect(insistOnTls(`${URL}&ssl=true`)).toMatch(/\?pgbouncer=true&sslmode=verify-full$/)
    expect(tls(withoutTls(`${URL}&ssl=true`))).toBe(false)
    expect(tls(`${URL}&ssl=true&sslmode=verify-full`)).toMatchObject({ rejectUnauthorized: true })
  })

  test.each(['1', 'no-verify'])('ssl=%s is an error, and never means plain text', value => {
    expect(() => tls(`${URL}&ssl=${value}`)).toThrow(
      `has ssl=${value}; write sslmode=require, or another mode`,
    )
  })

  test('ssl=false is an error that names the mode to write instead', () => {
    expect(() => tls(`${URL}&ssl=false`)).toThrow('has ssl=false; write sslmode=disable')
  })

  test('a local proxy is connected to without TLS, whatever its URL says', () => {
    expect(tls(withoutTls(`${URL}&sslmode=require`))).toBe(false)
  })
})

describe('testing a connection', () => {
  test('a port where nothing listens is reported as such', async () => {
    const port = await withServer(async port => port)
    const outcome = await testConnection(`postgres://ann:s3cret@127.0.0.1:${port}/shop`)
    expect(outcome).toEqual({ ok: false, reason: `nothing is listening on 127.0.0.1:${port}` })
  })

  test('a server that accepts and never answers times out', async () => {
    await withServer(async port => {
      const outcome = await testConnection(`postgres://ann:s3cret@127.0.0.1:${port}/shop`, { timeoutMs: 100 })
      expect(outcome).toEqual({ ok: false, reason: `127.0.0.1:${port} did not answer within 100 ms` })
    })
  })

  test('an invalid URL returns a reason and throws nothing', async () => {
    const outcome = await testConnection('postgres://ann:s3cret@host')
    expect(outcome).toEqual({ ok: false, reason: 'the URL names no database in "postgres://ann:***@host"' })
  })
})

async function withServer<T>(use: (port: number) => Promise<T>): Promise<T> {
  const server: Server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  try {
    return await use(typeof address === 'object' && address ? address.port : 0)
  } finally {
    server.close()
  }
}
