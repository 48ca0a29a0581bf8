import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, it } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'
import { ensureLogins, loginUrls } from '#server/postgres/logins.ts'
import { migrateToLatest } from '#server/postgres/migrations/runner.ts'
import { createApiToken, shownPrefix, storedApiToken } from '#server/rooms/api-tokens/format.ts'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'
import { followToEnd, streamPath } from '#server/testing/event-reader.ts'
import { startServerProcess } from '#server/testing/server-process.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'

// A cluster of its own, since it is killed.
it('streams lose nothing when Postgres is killed and comes back', { timeout: 120_000 }, async () => {
  const dataDir = throwawayDirectory('outage')
  const postgres = await startEmbeddedPostgres({ dataDir })
  try {
    await migrateToLatest({ url: postgres.url })
    await ensureLogins(postgres.url, TEST_AUTH_SECRET)
    await follow(postgres)
  } finally {
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
})

async function follow(postgres: EmbeddedPostgres): Promise<void> {
  const { url } = postgres
  const { token, taskId } = await createTask(url)
  const authorization = `Bearer ${token}`
  const urls = loginUrls({ baseUrl: url, directUrl: url, authSecret: TEST_AUTH_SECRET })
  await using server = await startServerProcess({ urls, directUrl: url, environment: { LOG_LEVEL: 'info' } })

  const call = async (procedure: string, input: unknown): Promise<boolean> => {
    const response = await fetch(`http://127.0.0.1:${server.port}/trpc/${procedure}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ json: input }),
    })
    await response.text()
    return response.ok
  }
  const path = streamPath('tasks.logs.stream', { taskId })
  const reading = new Set<number>()
  const followers = Array.from({ length: 5 }, (_, follower) =>
    followToEnd({
      port: () => server.port,
      path,
      authorization,
      onEvent: ({ event }) => void (event === 'message' && reading.add(follower)),
    }),
  )
  let isWriting = true
  let acknowledged = 0
  const writers = Array.from({ length: 3 }, async () => {
    while (isWriting) {
      const entries = [{ type: 'info', message: 'x' }]
      if (await call('tasks.logs.append', { taskId, entries })) acknowledged++
      else await sleep(20)
    }
  })
  // A stream that is still being let in when the database goes is refused, and right so.
  await expect.poll(() => reading.size, { timeout: 20_000 }).toBe(5)
  for (let kills = 0; kills < 2; kills++) {
    await sleep(500)
    const pid = postgres.pid()
    if (pid) process.kill(pid, 'SIGQUIT')
    const before = acknowledged
    await expect.poll(() => acknowledged, { timeout: 20_000 }).toBeGreaterThan(before + 20)
  }
  isWriting = false
  await Promise.all(writers)
  await expect.poll(() => call('tasks.stop', { id: taskId }), { timeout: 10_000 }).toBe(true)

  const { rows } = await query<{ seq: number }>(
    url,
    'select last_log_seq as seq from app.tasks where id = $1',
    [taskId],
  )
  const last = rows[0]?.seq ?? 0
  expect(last).toBeGreaterThanOrEqual(acknowledged)
  const everything = Array.from({ length: last }, (_, n) => n + 1)
  for (const { ids, connections } of await Promise.all(followers)) {
    expect(ids).toEqual(everything)
    // The outage is the database's: connections to the server stay.
    expect(connections).toBe(1)
  }
}

async function createTask(url: string): Promise<{ token: string; taskId: string }> {
  const token = createApiToken()
  const { rows } = await query<{ id: string }>(
    url,
    `with owner as (
       insert into auth.users (name, email) values ('Ada', 'ada@example.com') returning id
     ), token as (
       insert into app.api_tokens (user_id, name, prefix, token_hash, scopes)
       select id, 'a token', $1, $2, '{tasks:write}' from owner
     )
     insert into app.tasks (user_id, title, prompt) select id, 'x', 'x' from owner returning id`,
    [shownPrefix(token), storedApiToken(token)],
  )
  return { token, taskId: rows[0]?.id ?? '' }
}

async function query<R extends pg.QueryResultRow>(url: string, text: string, values: unknown[]) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query<R>(text, values)
  } finally {
    await client.end()
  }
}
