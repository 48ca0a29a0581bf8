import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { testConnection } from '../connection-test.ts'
import { toPgConfig } from '../postgres-client.ts'
import { type EmbeddedPostgres, findRunningEmbeddedPostgres, startEmbeddedPostgres } from './postgres.ts'
import { isProcessAlive } from './process-lock.ts'

const HOLDER = fileURLToPath(new URL('../../testing/embedded-holder.ts', import.meta.url))

// All tests share one directory, since initialising is slow; each test leaves a stopped server.
let dataDir: string
let server: EmbeddedPostgres | undefined
let holder: Holder | undefined

beforeAll(() => {
  dataDir = throwawayDirectory('embedded')
})

afterEach(async () => {
  if (holder && holder.child.exitCode === null && holder.child.signalCode === null) {
    holder.child.kill('SIGTERM')
    await once(holder.child, 'exit')
  }
  await server?.stop()
  server = undefined
  holder = undefined
})

afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

test('data survives a stop and a start, on the same port', async () => {
  server = await start()
  const firstUrl = server.url
  await query(server.url, 'create table kept (line text)')
  await query(server.url, `insert into kept values ('one')`)
  await server.stop()

  server = await start()
  expect(server.url).toBe(firstUrl)
  expect(await query(server.url, 'select line from kept')).toEqual([{ line: 'one' }])
})

test('text is UTF-8 with the same order on every machine, and time is UTC', async () => {
  server = await start()
  const [row] = await query(
    server.url,
    `select current_setting('server_encoding') as encoding, current_setting('timezone') as zone, upper('é') as upper,
       to_tsvector('simple', '“é”')::text as words,
       (select string_agg(x, '' order by x) from unnest(array['b', 'B', 'a', 'ä']) x) as ordered`,
  )
  expect(row).toEqual({ encoding: 'UTF8', zone: 'UTC', upper: 'É', words: "'é':1", ordered: 'Babä' })
})

test('the server listens on this machine only, requires its password and does not expose it', async () => {
  server = await start()
  const [row] = await query(server.url, `select current_setting('listen_addresses') as addresses`)
  expect(row).toEqual({ addresses: '127.0.0.1' })
  const outcome = await testConnection(server.url.replace(/:[^:@]+@/, ':wrong@'))
  expect(outcome).toEqual({ ok: false, reason: expect.stringContaining('the password for user "postgres"') })
  expect(statSync(join(dataDir, 'postgres', 'connection.json')).mode & 0o077).toBe(0)
  const { password } = JSON.parse(readFileSync(join(dataDir, 'postgres', 'connection.json'), 'utf8'))
  expect(readFileSync(join(dataDir, 'postgres.log'), 'utf8')).not.toContain(password)
})

test('Ctrl-C does not reach the server, which has its own process group', async () => {
  server = await start()
  const group = readFileSync(`/proc/${server.pid()}/stat`, 'utf8').split(') ')[1]?.split(' ')[2]
  expect(Number(group)).toBe(server.pid())
})

describe('a second start', () => {
  test('is refused; the error names the directory and the process that holds it', async () => {
    server = await start()
    await expect(start()).rejects.toThrow(
      `The embedded Postgres in ${join(dataDir, 'postgres')} is in use by process ${process.pid}.`,
    )
  })

  test('is refused across processes, while a command may share the running server', async () => {
    holder = await startHolder()
    await expect(start()).rejects.toThrow(`in use by process ${holder.child.pid}`)
    expect(await findRunningEmbeddedPostgres(dataDir)).toBe(holder.url)
  })

  test('finds no server to share if none runs', async () => {
    expect(await findRunningEmbeddedPostgres(dataDir)).toBeNull()
  })

  test('takes over a lock whose process id was given to another process', async () => {
    writeFileSync(join(dataDir, 'postgres.lock'), JSON.stringify({ pid: process.ppid, startedAt: '1' }))
    server = await start()
    expect((await testConnection(server.url)).ok).toBe(true)
  })

  test.each(['', '{"pid":', 'null'])('takes over a lock that holds %j', async text => {
    writeFileSync(join(dataDir, 'postgres.lock'), text)
    server = await start()
    expect((await testConnection(server.url)).ok).toBe(true)
  })
})

describe('after a crash', () => {
  test('the next start stops and replaces the server of a killed owner, and keeps every committed row', async () => {
    holder = await startHolder()
    await query(holder.url, 'create table if not exists survived (line text)')
    await query(holder.url, `insert into survived values ('owner')`)
    holder.child.kill('SIGKILL')
    await once(holder.child, 'exit')
    expect(isProcessAlive(holder.serverPid)).toBe(true)

    server = await start()
    expect(isProcessAlive(holder.serverPid)).toBe(false)
    expect(await query(server.url, 'select line from survived')).toEqual([{ line: 'owner' }])
  })

  test('the next start recovers from a killed owner and a killed server with a busy backend', async () => {
    holder = await startHolder()
    const busy = query(holder.url, 'select count(*) from generate_series(1, 1e10)').catch(() => 'ended')
    await sleep(100)
    holder.child.kill('SIGKILL')
    process.kill(holder.serverPid, 'SIGKILL')
    await once(holder.child, 'exit')

    server = await start()
    expect(await busy).toBe('ended')
    expect((await testConnection(server.url)).ok).toBe(true)
  })

  test('a stale pid file that names an unrelated process does not prevent a start', async () => {
    writeFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), `${process.ppid}\n`)
    server = await start()
    expect((await testConnection(server.url)).ok).toBe(true)
    expect(isProcessAlive(process.ppid)).toBe(true)
  })

  test('a server that is killed under a living owner is restarted on the same port', async () => {
    const lines: string[] = []
    server = await start(line => lines.push(line))
    const killed = server.pid() ?? 0
    process.kill(killed, 'SIGKILL')

    const deadline = Date.now() + 5000
    while (Date.now() < deadline && (server.pid() === killed || !(await testConnection(server.url)).ok))
      await sleep(20)
    expect(await testConnection(server.url)).toMatchObject({ ok: true })
    expect(server.pid()).not.toBe(killed)
    expect(lines).toContain('the embedded Postgres died; restarting it')
  })

  test('an interrupted initialisation starts again', async () => {
    const fresh = throwawayDirectory('embedded')
    mkdirSync(join(fresh, 'postgres', 'data.new', 'base'), { recursive: true })
    try {
      server = await startEmbeddedPostgres({ dataDir: fresh, isDurable: false })
      expect((await testConnection(server.url)).ok).toBe(true)
      await server.stop()
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  })
})

test('it runs in a directory that no other user may enter', async () => {
  chmodSync(dataDir, 0o700)
  server = await start()
  expect((await testConnection(server.url)).ok).toBe(true)
})

test('a cluster of another major version is refused by name', async () => {
  const path = join(dataDir, 'postgres', 'data', 'PG_VERSION')
  const version = readFileSync(path, 'utf8')
  writeFileSync(path, '17\n')
  try {
    await expect(start()).rejects.toThrow('was written by Postgres 17')
  } finally {
    writeFileSync(path, version)
  }
})

test('the error of a server that can not start has the end of its log', async () => {
  const attempt = startEmbeddedPostgres({ dataDir, settings: { shared_buffers: 'plenty' } })
  await expect(attempt).rejects.toThrow(/did not start\..*invalid value for parameter "shared_buffers"/s)
})

function start(log?: (line: string) => void): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir, isDurable: false, log })
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(toPgConfig(url))
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

interface Holder {
  child: ChildProcess
  url: string
  serverPid: number
}

async function startHolder(): Promise<Holder> {
  const child = spawn(process.execPath, [HOLDER, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const { url, serverPid } = JSON.parse(line)
    return { child, url, serverPid }
  }
  throw new Error('the holder exited before its server was ready')
}
