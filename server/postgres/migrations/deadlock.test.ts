import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { emptyDatabase, migrationsOf, rowsOf, tablesOf } from './harness.ts'
import { dryRun, migrate } from './runner.ts'

type Work = (options: { url: string; directory: string; log: (line: string) => void }) => Promise<unknown>

/**
 * Undoing locks a and then b; a session locks b, and then asks for a once the runner waits for b. Postgres
 * ends the one that has waited for a second first: mostly the runner, which started to wait earlier. Returns
 * false if it was the session.
 */
async function isEndedByDeadlock(work: Work, url: string): Promise<boolean> {
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int); create table b (id int);', 'drop table a; drop table b;'],
  })
  await migrate({ url, directory }, { kind: 'latest' })
  const other = new Client(url)
  other.on('error', () => {})
  await other.connect()
  onTestFinished(() => other.end())
  await other.query('begin; lock table b')
  const lines: string[] = []
  const working = work({ url, directory, log: line => lines.push(line) })
  working.catch(() => {})
  const isWaiting = async () => {
    const rows = await rowsOf(url, `select from pg_locks where not granted and relation = 'b'::regclass`)
    return rows.length
  }
  await expect.poll(isWaiting).toBe(1)
  const isSession = await other.query('lock table a').then(
    () => false,
    () => true,
  )
  await other.query('rollback')
  await working
  if (isSession) return false
  expect(lines.join('\n')).toMatch(/0001_a\.sql:\d+: deadlock detected \(40P01\)/)
  expect(lines.join('\n')).toContain('retrying, attempt 2 of 5')
  return true
}

async function runInto(work: Work): Promise<string> {
  for (;;) {
    const url = await emptyDatabase()
    if (await isEndedByDeadlock(work, url)) return url
  }
}

test('a dry run that hits a deadlock names the statement and retries', async () => {
  const url = await runInto(options => dryRun(options, { kind: 'previous' }))
  expect(await tablesOf(url)).toEqual(expect.arrayContaining(['a', 'b']))
})

test('undoing that hits a deadlock rolls back the file and retries', async () => {
  const url = await runInto(options => migrate(options, { kind: 'previous' }))
  expect(await tablesOf(url)).toEqual([])
})

test('progress names a waiting statement and the session that holds the lock', async () => {
  const directory = await migrationsOf({ '0001_a': ['create table a (id int);', 'drop table a;'] })
  const url = await emptyDatabase()
  await migrate({ url, directory }, { kind: 'latest' })
  const other = new Client(url)
  await other.connect()
  onTestFinished(() => other.end())
  await other.query('begin; lock table a')
  const lines: string[] = []
  const working = dryRun({ url, directory, log: line => lines.push(line) }, { kind: 'previous' })
  await expect
    .poll(() => lines.join('\n'))
    .toMatch(/still at .*0001_a\.sql:\d+, .* so far: waiting for a lock held by pid \d+ of \w+/)
  await other.query('rollback')
  await working
})
