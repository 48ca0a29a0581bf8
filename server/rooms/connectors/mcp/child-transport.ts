import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { deserializeMessage, serializeMessage } from '@modelcontextprotocol/sdk/shared/stdio.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { McpFailure } from './failure.ts'
import { endGroup, holdGroup } from './process-group.ts'
import type { Watch } from './watch.ts'

export interface LocalTarget {
  readonly kind: 'local'
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

type Child = ChildProcessByStdio<Writable, Readable, null>

const MAX_OUTPUT_BYTES = 4 * 1024 * 1024
const MAX_MESSAGES = 2_000
/** Time to read what the command wrote right before it exited. */
const LAST_WORDS_MS = 250
// A fixed path: only the configuration may read the environment, and the server's own PATH may contain
// anything.
const PATH = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`

/**
 * MCP over the standard streams of a command. The SDK's own transport passes on the server's HOME, USER and
 * SHELL, and stops one process. This one starts a process group with only the given variables, in an empty
 * directory of its own that is also its HOME; it reads a limited amount, and ends the whole group when
 * closed.
 */
export function createChildTransport(target: LocalTarget, watch: Watch): Transport {
  let directory: string | null = null
  let child: Child | null = null
  let starting: Promise<void> | null = null
  let closing: Promise<void> | null = null

  async function begin(): Promise<void> {
    directory = await mkdtemp(join(tmpdir(), 'rowhouse-mcp-'))
    if (watch.signal.aborted) throw watch.signal.reason
    try {
      const started = spawn(target.command, [...target.args], {
        cwd: directory,
        env: { PATH, HOME: directory, TMPDIR: directory, LANG: 'C.UTF-8', ...target.env },
        stdio: ['pipe', 'pipe', 'ignore'],
        shell: false,
        detached: true,
      })
      started.on('error', () => {})
      started.stdin.on('error', () => {})
      started.stdout.on('error', () => {})
      await once(started, 'spawn')
      child = started
    } catch (error) {
      throw new McpFailure(startSentence(error, target.command))
    }
    if (child.pid !== undefined) holdGroup(child.pid)
    child.once('exit', (code, signal) => setTimeout(reportExit, LAST_WORDS_MS, code, signal).unref())
    readMessages(child.stdout, { watch, transport })
  }

  function reportExit(code: number | null, signal: NodeJS.Signals | null): void {
    const how = code === null ? `by ${signal}` : `with exit code ${code}`
    watch.fail(new McpFailure(`the command ended ${how} before it answered`))
  }

  async function end(): Promise<void> {
    await starting?.catch(() => {})
    if (child) await endGroup(child)
    child?.stdout.destroy()
    if (directory) await rm(directory, { recursive: true, force: true, maxRetries: 3 }).catch(() => {})
    transport.onclose?.()
  }

  const transport: Transport = {
    start() {
      starting ??= begin()
      return starting
    },
    async send(message) {
      if (!child || closing) throw new McpFailure('the command is not running')
      if (!child.stdin.write(serializeMessage(message)))
        await once(child.stdin, 'drain', { signal: watch.signal })
    },
    close() {
      closing ??= end()
      return closing
    },
  }
  return transport
}

function readMessages(output: Readable, { watch, transport }: { watch: Watch; transport: Transport }): void {
  let received = 0
  let messages = 0
  let pieces: Buffer[] = []

  function take(line: string): void {
    if (line.trim() === '') return
    try {
      const message = deserializeMessage(line)
      messages++
      if (messages > MAX_MESSAGES) watch.fail(new McpFailure('the server sent too many messages'))
      else transport.onmessage?.(message)
    } catch {
      watch.complain('lines that are not MCP messages')
    }
  }

  output.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (received > MAX_OUTPUT_BYTES)
      watch.fail(new McpFailure(`the server sent more than ${MAX_OUTPUT_BYTES} bytes`))
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1 && !watch.signal.aborted; end = chunk.indexOf(10, start)) {
      if (end > start) pieces.push(chunk.subarray(start, end))
      if (pieces.length > 0) take(Buffer.concat(pieces).toString())
      pieces = []
      start = end + 1
    }
    if (watch.signal.aborted) output.destroy()
    else if (start < chunk.length) pieces.push(chunk.subarray(start))
  })
}

// Node's own messages quote the rejected variable.
function startSentence(error: unknown, command: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : null
  const name = JSON.stringify(command.slice(0, 100))
  if (code === 'ENOENT') return `the command ${name} was not found`
  if (code === 'EACCES') return `the command ${name} may not be executed`
  return `the command ${name} could not be started`
}
