// Ends the inspecting process past its limits, from a thread that its loops do not hold up. Started with the limits: milliseconds of
// the processor for one file, and bytes of memory.

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
