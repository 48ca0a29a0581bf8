import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from './testing/database.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from './testing/environment.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

test('a server that npm runs stops when npm’s shell is stopped', async () => {
  const { urls } = database
  // As npm does: a shell that waits for its command and keeps signals for itself.
  const shell = spawn('sh', ['-c', '"$0" "$1"; true', process.execPath, MAIN], {
    env: {
      npm_lifecycle_event: 'start',
      NODE_ENV: 'test',
      HOST: '127.0.0.1',
      PORT: '0',
      APP_URL: 'http://localhost:3000',
      AUTH_SECRET: TEST_AUTH_SECRET,
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
      API_DATABASE_URL: urls.api,
      PUBLIC_DATABASE_URL: urls.public,
      AUTH_DATABASE_URL: urls.auth,
      SYSTEM_DATABASE_URL: urls.system,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  shell.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (shell.signalCode === null && output.includes('listening on http')) shell.kill('SIGTERM')
  })
  // The server holds the other end of the pipe for as long as it lives.
  await once(shell.stdout, 'end')
  expect(shell.signalCode).toBe('SIGTERM')
  expect(output).toContain('stopping')
})
