import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { isAlive } from './fixture.ts'

test('a server that exits during a test kills the command', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rowhouse-exit-test-'))
  const pidFile = join(directory, 'pid')
  const target = {
    kind: 'local',
    command: '/bin/sh',
    // Ignores the end of its input, and SIGTERM.
    args: [
      '-c',
      'trap "" TERM HUP; echo $$ > "$PID_FILE.draft"; mv "$PID_FILE.draft" "$PID_FILE"; sleep 600',
    ],
    env: { PID_FILE: pidFile },
  }
  const script = `
    import { existsSync } from 'node:fs'
    import { checkMcpServer } from ${JSON.stringify(join(import.meta.dirname, 'check-server.ts'))}
    const options = { allowLocal: true, allowPrivate: false, deadlineMs: 600_000 }
    void checkMcpServer({ userId: 'ada' }, ${JSON.stringify(target)}, options)
    setInterval(() => existsSync(${JSON.stringify(pidFile)}) && process.exit(7), 20)`
  try {
    const run = promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', script])
    await expect(run).rejects.toMatchObject({ code: 7 })
    const pid = readFileSync(pidFile, 'utf8').trim()
    expect(pid).toMatch(/^\d+$/)
    try {
      await expect.poll(() => isAlive(pid)).toBe(false)
    } finally {
      if (isAlive(pid)) process.kill(-Number(pid), 'SIGKILL')
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
