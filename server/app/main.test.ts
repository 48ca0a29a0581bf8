import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

function environment() {
  const { urls } = database
  return {
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    APP_URL: 'http://localhost:3000',
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    ...loginEnvironment(urls),
  }
}

test('a server that npm runs stops when npm’s shell is stopped', async () => {
  // As npm does: a shell that waits for its command and keeps signals for itself.
  const shell = spawn('sh', ['-c', '"$0" "$1"; true', process.execPath, MAIN], {
    env: { ...environment(), npm_lifecycle_event: 'start' },
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

test('a server that is asked to stop again finishes the call in flight all the same', async () => {
  const server = spawn(process.execPath, [MAIN], { env: environment(), stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(server, 'exit')
  let output = ''
  server.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const says = (text: string) => expect.poll(() => output, { timeout: 20_000 }).toContain(text)
  try {
    await says('"listening on http')
    const port = Number(/"listening on http:\/\/127\.0\.0\.1:(\d+)"/.exec(output)?.[1])
    const caller = connect(port, '127.0.0.1')
    let answer = ''
    caller.setEncoding('utf8').on('data', (text: string) => {
      answer += text
    })
    const ended = once(caller, 'close')
    // Answered with a 100, so that the server is known to have it.
    caller.write(
      'POST /trpc/account.me HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Content-Length: 2\r\nExpect: 100-continue\r\n\r\n',
    )
    await expect.poll(() => answer, { timeout: 10_000 }).toContain('HTTP/1.1 100')
    server.kill('SIGTERM')
    await says('"stopping"')
    server.kill('SIGTERM')
    await says('"still stopping"')
    server.kill('SIGINT')
    caller.write('{}')
    await ended
    expect(answer).toMatch(/HTTP\/1\.1 (401|405) /)
    expect(await exited).toEqual([0, null])
  } finally {
    server.kill('SIGKILL')
  }
})
