import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabaseServer } from '#server/postgres/database-server.ts'
import { lastKnownEmbeddedUrl, startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { ConfigError, loadConfig } from './config.ts'

let dataDir: string

beforeAll(async () => {
  dataDir = throwawayDirectory('files')
  await (await startEmbeddedPostgres({ dataDir, isDurable: false })).stop()
  loadConfig({ DATA_DIR: dataDir })
})
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** Runs `attempt` while a file holds something else; returns the message that it fails with. */
async function failureWith(
  file: string,
  content: string | null,
  attempt: () => unknown,
): Promise<string | null> {
  const path = join(dataDir, file)
  // Moved aside and back, it keeps its owner.
  renameSync(path, `${path}.aside`)
  if (content === null) mkdirSync(path)
  else writeFileSync(path, content)
  try {
    await attempt()
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    rmSync(path, { recursive: true })
    renameSync(`${path}.aside`, path)
  }
}

const load = () => loadConfig({ DATA_DIR: dataDir })
const startPostgres = () => startEmbeddedPostgres({ dataDir, isDurable: false })

describe('a file that is not what was written there is named, with what to do', () => {
  test.each([
    ['auth-secret', '', 'is empty instead of holding the secret'],
    ['auth-secret', 'development-AbC', 'does not hold the secret'],
    ['auth-secret', '{"port":1}', 'does not hold the secret'],
    ['auth-secret', null, "can't be read (EISDIR)"],
    ['encryption-keys', '', 'is empty instead of holding the keys'],
    ['encryption-keys', 'development:0123', 'does not hold the keys'],
    ['encryption-keys', 'development', 'does not hold the keys'],
  ])('%s holding %j', async (file, content, problem) => {
    const attempt = () => {
      expect(load).toThrow(ConfigError)
      load()
    }
    const message = await failureWith(file, content, attempt)
    expect(message).toContain(`${join(dataDir, file)} ${problem}`)
    if (content !== null) expect(message).toMatch(/Restore it from a backup/)
  })

  test.each(['', '{', '{"port":', '[]', 'null', '{"port":"x","password":1}', '{"port":5432}'])(
    'connection.json holding %j',
    async content => {
      const file = join('postgres', 'connection.json')
      for (const attempt of [
        startPostgres,
        () => lastKnownEmbeddedUrl(dataDir),
        () => openDatabaseServer({ database: { kind: 'embedded' }, dataDir }, { share: true }),
      ]) {
        expect(await failureWith(file, content, attempt)).toMatch(
          /connection\.json does not contain the port and the password .* Restore it from a backup, or move .*postgres away/,
        )
      }
    },
  )

  test.each([
    ['', 'is empty or foreign'],
    ['x', 'is empty or foreign'],
    ['14', 'was written by Postgres 14'],
  ])("the cluster's version %j", async (content, problem) => {
    const message = await failureWith(join('postgres', 'data', 'PG_VERSION'), content, startPostgres)
    expect(message).toContain(problem)
    expect(message).toContain(join(dataDir, 'postgres', 'data'))
  })
})

test.each(['', 'x', '1', '999999999\n/elsewhere\n'])(
  'a postmaster.pid that holds %j is a leftover, and keeps nothing from starting',
  async content => {
    writeFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), content)
    await (await startPostgres()).stop()
  },
)
