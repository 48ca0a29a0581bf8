import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Identity } from '#server/db/identity.ts'
import { TOOLS } from '#server/testing/mcp/tools.ts'
import { checkMcpServer, type McpCheckOptions, type McpCheckResult } from './check-server.ts'
import { isAlive } from './fixture.ts'

const REAL = fileURLToPath(new URL('../../../testing/mcp/stdio-server.ts', import.meta.url))
const HOSTILE = fileURLToPath(new URL('../../../testing/mcp/hostile-stdio.ts', import.meta.url))
const SECRET = 'local-canary-7d1e0c55'
const IDENTITY = { userId: 'ada' } as Identity

let directory: string
let pids: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'rowhouse-local-test-'))
  pids = join(directory, 'pids')
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function run(
  command: string,
  args: string[],
  options: Partial<McpCheckOptions> = {},
): Promise<McpCheckResult> {
  return checkMcpServer(
    IDENTITY,
    { kind: 'local', command, args, env: { API_KEY: SECRET } },
    { allowLocal: true, allowPrivate: false, deadlineMs: 20_000, ...options },
  )
}

const hostile = (behaviour: string, deadlineMs = 20_000) =>
  run(process.execPath, [HOSTILE, behaviour, pids], { deadlineMs })

const refusal = (result: McpCheckResult) => (result.status === 'disconnected' ? result.error : 'connected')

const started = () => readFileSync(pids, 'utf8').trim().split('\n')

test('all tool pages of a server built with the SDK are listed', async () => {
  expect(await run(process.execPath, [REAL])).toEqual({ status: 'connected', tools: TOOLS })
})

test('nothing runs unless the operator allows it', async () => {
  const result = await run(process.execPath, [HOSTILE, 'silent', join(directory, 'never')], {
    allowLocal: false,
  })
  expect(refusal(result)).toBe('this server is configured not to run local commands')
  expect(readdirSync(directory)).not.toContain('never')
})

test('the command gets only the given variables, which are masked in the stored tools', async () => {
  const result = await hostile('mirror')
  if (result.status !== 'connected') throw new Error(result.error)
  const seen = JSON.parse((result.tools[0]?.description ?? '').replace('\ufffd', ''))
  expect(Object.keys(seen.env).sort()).toEqual(['API_KEY', 'HOME', 'LANG', 'PATH', 'TMPDIR'])
  expect(seen.env).toMatchObject({ API_KEY: '•••', HOME: seen.cwd })
  expect(seen.cwd).toContain('rowhouse-mcp-')
  expect(JSON.stringify(result)).not.toContain(SECRET)
  expect(readdirSync(tmpdir())).not.toContain(seen.cwd.split('/').at(-1))
})

test('no shell reads the command or its arguments', async () => {
  expect(refusal(await run(`touch ${directory}/shell`, []))).toMatch(/was not found$/)
  await run('true', ['; touch', `${directory}/shell`, '$(touch shell)'])
  expect(readdirSync(directory)).not.toContain('shell')
})

test('a banner before the first message is ignored, and a server without tools is connected', async () => {
  expect(await hostile('banner')).toMatchObject({ status: 'connected', tools: [{ name: 'one' }] })
  expect(await hostile('no-tools')).toEqual({ status: 'connected', tools: [] })
})

describe('a misbehaving server fails with one sentence without secrets', () => {
  test.each([
    ['exits', 20_000, 'the command ended with exit code 3 before it answered'],
    ['silent', 1_500, 'the server did not answer within 1.5 s'],
    ['silent-at-list', 1_500, 'the server did not answer within 1.5 s'],
    ['floods-a-line', 20_000, 'the server sent more than 4194304 bytes'],
    ['floods-lines', 20_000, 'the server sent too many lines that are not MCP messages'],
    ['floods-blanks', 20_000, 'the server sent more than 4194304 bytes'],
    ['floods-messages', 20_000, 'the server sent too many unrequested messages'],
    ['floods-errors', 1_500, 'the server did not answer within 1.5 s'],
    ['old-version', 20_000, 'the server speaks a version of MCP that is not supported'],
    ['wrong-shape', 20_000, 'the server answered with something that is not MCP'],
    ['huge-list', 20_000, "the server's tool list is larger than 512 KiB"],
    ['endless-list', 20_000, "the server's tool list does not end within 100 pages"],
  ])('%s', async (behaviour, deadlineMs, sentence) => {
    expect(refusal(await hostile(behaviour, deadlineMs))).toBe(sentence)
    for (const pid of started()) await expect.poll(() => isAlive(pid)).toBe(false)
  })

  test.each([
    ['no-such-command', [], {}, 'the command "no-such-command" was not found'],
    [HOSTILE, [], {}, `the command ${JSON.stringify(HOSTILE)} may not be executed`],
    ['true', ['\0'], {}, 'the command "true" could not be started'],
    ['true', [], { [`${SECRET}\0`]: SECRET, KEY: `${SECRET}\0` }, 'the command "true" could not be started'],
  ])('%s %j', async (command, args, env, sentence) => {
    const target = { kind: 'local' as const, command, args, env }
    const result = await checkMcpServer(IDENTITY, target, { allowLocal: true, allowPrivate: false })
    expect(refusal(result)).toBe(sentence)
  })
})

test('a command that ignores SIGTERM is killed, and so are its children', async () => {
  rmSync(pids, { force: true })
  expect(refusal(await hostile('stubborn'))).toContain('is not supported')
  expect(started()).toHaveLength(2)
  for (const pid of started()) await expect.poll(() => isAlive(pid)).toBe(false)
})

test('a user can test four connectors at once, and not five', async () => {
  const four = Array.from({ length: 4 }, () => hostile('silent', 1_000))
  await expect(hostile('silent')).rejects.toMatchObject({ reason: 'rate_limited' })
  const grace = checkMcpServer(
    { userId: 'grace' } as Identity,
    { kind: 'local', command: 'no-such-command', args: [], env: {} },
    { allowLocal: true, allowPrivate: false },
  )
  expect(await grace).toMatchObject({ status: 'disconnected' })
  await Promise.all(four)
  expect(await hostile('no-tools')).toMatchObject({ status: 'connected' })
})

test('a command that sends endless small requests is stopped', async () => {
  const ping = `JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' }) + '\\n'`
  const script = `for (let id = 0; id < 5000; id++) process.stdout.write(${ping}); setInterval(() => {}, 1000)`
  const result = await run(process.execPath, ['-e', script], { deadlineMs: 10_000 })
  expect(refusal(result)).toBe('the server sent too many messages')
})

test('children that ignore SIGTERM are killed after their command has exited', async () => {
  rmSync(pids, { force: true })
  const deaf = `sh -c 'trap "" TERM HUP; echo $$ > "$0"; exec sleep 600' "$0" & cat > /dev/null`
  expect(refusal(await run('/bin/sh', ['-c', deaf, pids], { deadlineMs: 5_000 }))).toContain('did not answer')
  const [pid = ''] = started()
  expect(pid).toMatch(/^\d+$/)
  await expect.poll(() => isAlive(pid)).toBe(false)
})

test('a command that answers each request but never ends its list is stopped at the deadline', async () => {
  const script = `
    const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
    require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
      const { id, method, params } = JSON.parse(line)
      const { protocolVersion } = params ?? {}
      const me = { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } }
      if (method === 'initialize') answer(id, me)
      if (method === 'tools/list') setTimeout(answer, 100, id, { tools: [], nextCursor: String(id) })
    })`
  const result = await run(process.execPath, ['-e', script], { deadlineMs: 2_000 })
  expect(refusal(result)).toBe('the server did not answer within 2 s')
})
