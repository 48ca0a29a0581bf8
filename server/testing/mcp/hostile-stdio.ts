// A command that misbehaves as its first argument says; it writes the process ids to the file in its second
// one.
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { ENDLESS_PAGE, HUGE_PAGE, initialized, tool } from './answers.ts'

const [behaviour = '', pids] = process.argv.slice(2)
const stay = () => void setInterval(() => {}, 60_000)
const write = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

function noteProcess(pid: number | undefined): void {
  if (pids) appendFileSync(pids, `${pid}\n`)
}

function answer(results: Record<string, () => unknown>): void {
  createInterface({ input: process.stdin }).on('line', line => {
    const { id, method } = JSON.parse(line)
    const result = results[method]?.()
    if (id !== undefined && result !== undefined) write({ jsonrpc: '2.0', id, result })
  })
  stay()
}

function floodWith(text: string): void {
  const more = () => {
    while (process.stdout.write(text)) {}
    process.stdout.once('drain', more)
  }
  more()
}

const BEHAVIOURS: Record<string, () => void> = {
  silent: stay,
  'silent-at-list': () => answer({ initialize: initialized }),
  exits: () => process.exit(3),
  'floods-a-line': () => floodWith('x'.repeat(65_536)),
  'floods-lines': () => floodWith('not a message\n'.repeat(1_000)),
  'floods-blanks': () => floodWith('\n'.repeat(65_536)),
  'floods-messages': () =>
    floodWith(
      `${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: {} })}\n`.repeat(1_000),
    ),
  'floods-errors': () => {
    const more = () => {
      while (process.stderr.write('x'.repeat(65_536))) {}
      process.stderr.once('drain', more)
    }
    more()
  },
  'old-version': () => answer({ initialize: () => initialized({ protocolVersion: '1999-01-01' }) }),
  'wrong-shape': () =>
    answer({ initialize: initialized, 'tools/list': () => ({ tools: [{ title: 'nameless' }] }) }),
  'huge-list': () => answer({ initialize: initialized, 'tools/list': () => HUGE_PAGE }),
  'endless-list': () => answer({ initialize: initialized, 'tools/list': () => ENDLESS_PAGE }),
  banner: () => {
    process.stdout.write('Welcome!\n\n')
    answer({ initialize: initialized, 'tools/list': () => ({ tools: [tool('one')] }) })
  },
  'no-tools': () => answer({ initialize: () => initialized({ capabilities: {} }) }),
  mirror: () => {
    // biome-ignore lint/style/noProcessEnv: what a command is given is what this one is asked about.
    const seen = JSON.stringify({ env: process.env, cwd: process.cwd(), nul: '\0', half: '\ud800' })
    answer({ initialize: initialized, 'tools/list': () => ({ tools: [tool('mirror', `\0\ud800${seen}`)] }) })
  },
  stubborn: () => {
    process.on('SIGTERM', () => {})
    noteProcess(spawn('sleep', ['600'], { stdio: 'inherit' }).pid)
    answer({ initialize: () => initialized({ protocolVersion: '1999-01-01' }) })
  },
}

noteProcess(process.pid)
BEHAVIOURS[behaviour]?.()
