import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { testConnection } from './connection-test.ts'
import { openDatabaseServer } from './database-server.ts'

let dataDir: string

beforeAll(() => {
  dataDir = throwawayDirectory('server')
})

afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const embedded = () => ({ database: { kind: 'embedded' as const }, dataDir })

test('a sharing command uses the running server and leaves it running', async () => {
  const server = await openDatabaseServer(embedded())
  try {
    await expect(openDatabaseServer(embedded())).rejects.toThrow('is in use by process')
    const shared = await openDatabaseServer(embedded(), { share: true })
    expect(shared).toMatchObject({ kind: 'embedded', url: server.url, ownerUrl: server.ownerUrl })
    await shared.close()
    expect(await testConnection(server.url ?? '')).toMatchObject({ ok: true })
  } finally {
    await server.close()
  }
  expect(await testConnection(server.url ?? '')).toMatchObject({ ok: false })
})

test('if no server runs, two sharing commands start one, and the one that started it stops it', async () => {
  const [first, second] = await Promise.all([
    openDatabaseServer(embedded(), { share: true }),
    openDatabaseServer(embedded(), { share: true }),
  ])
  expect(first.url).toBe(second.url)
  await Promise.all([first.close(), second.close()])
  expect(await testConnection(first.url ?? '')).toMatchObject({ ok: false })
})

test('an external server is only named, not started', async () => {
  const database = { kind: 'external', url: 'a', directUrl: null, method: null } as const
  expect(await openDatabaseServer({ database, dataDir })).toMatchObject({
    kind: 'external',
    url: 'a',
    ownerUrl: null,
  })
})
