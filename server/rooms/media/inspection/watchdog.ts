// Kills the inspecting process when it exceeds a limit, from a thread that a busy loop cannot block. The
// arguments are the CPU time for one file in milliseconds, and the memory in bytes.

import { parentPort } from 'node:worker_threads'
import { PAST_CPU, PAST_MEMORY } from './protocol.ts'

const CHECK_MS = 50

const [maxCpuMs, maxBytes] = process.argv.slice(2).map(Number)
let begunAt: NodeJS.CpuUsage | undefined

parentPort?.on('message', message => {
  begunAt = message === 'begin' ? process.cpuUsage() : undefined
  check()
})
setInterval(check, CHECK_MS)
parentPort?.postMessage('watching')

function check(): void {
  if (process.memoryUsage.rss() > Number(maxBytes)) process.kill(process.pid, PAST_MEMORY)
  if (begunAt === undefined) return
  const { user, system } = process.cpuUsage(begunAt)
  if ((user + system) / 1_000 > Number(maxCpuMs)) process.kill(process.pid, PAST_CPU)
}
