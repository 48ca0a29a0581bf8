import { connect, type Socket } from 'node:net'
import type { BenchTask } from './house.ts'

/** Many stream readers that only measure how late each event arrives. */
export interface Subscribers {
  /** Milliseconds from each event's statement to its receipt, since the last call. */
  takeLatencies(): number[]
  /** Repeated, unordered or missing events, one line each. */
  readonly faults: string[]
  close(): void
}

const AT = Buffer.from('"at":"')
const SEQ = Buffer.from('\nid: ')

/** Opens `count` streams, spread over the tasks, and resolves when all are connected. */
export async function openSubscribers(
  port: number,
  tasks: readonly BenchTask[],
  count: number,
): Promise<Subscribers> {
  let latencies: number[] = []
  const faults: string[] = []
  const sockets: Socket[] = []

  function open(task: BenchTask): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      sockets.push(socket)
      let seq = 0
      socket.setNoDelay(true)
      socket.on('error', reject)
      socket.on('data', chunk => {
        if (seq === 0) {
          if (chunk.includes('event: connected')) resolve()
          else if (!chunk.includes('HTTP/1.1 200')) reject(new Error(chunk.toString().slice(0, 500)))
        }
        const now = Date.now()
        // An event of this size arrives in one chunk.
        for (let at = chunk.indexOf(AT); at !== -1; at = chunk.indexOf(AT, at + 30)) {
          latencies.push(now - Date.parse(chunk.toString('latin1', at + 6, at + 30)))
          const id = chunk.indexOf(SEQ, at) + SEQ.length
          const next = Number(chunk.toString('latin1', id, chunk.indexOf(10, id)))
          if (seq !== 0 && next !== seq + 1) faults.push(`${next} came after ${seq}`)
          seq = next
        }
      })
      const input = encodeURIComponent(JSON.stringify({ json: { taskId: task.id } }))
      socket.write(
        `GET /trpc/tasks.logs.stream?input=${input} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n` +
          `authorization: Bearer ${task.token}\r\n\r\n`,
      )
    })
  }

  for (let opened = 0; opened < count; opened += 50) {
    const wave = Array.from({ length: Math.min(50, count - opened) }, (_, index) => {
      const task = tasks[(opened + index) % tasks.length]
      return task ? open(task) : Promise.reject(new Error('no task was given'))
    })
    await Promise.all(wave)
  }
  return {
    faults,
    takeLatencies() {
      const taken = latencies
      latencies = []
      return taken
    },
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
