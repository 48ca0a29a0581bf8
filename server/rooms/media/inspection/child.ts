// The child process that inspects files, one at a time. It has no data of the server except this file's
// bytes, which it requests, and can be killed at any time: only that stops an endless loop in a parser.

import { once } from 'node:events'
import { setPriority } from 'node:os'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { inspect } from './inspect.ts'
import {
  type FromInspector,
  type InspectedFile,
  type Inspection,
  MAX_READ_BYTES,
  type ToInspector,
} from './protocol.ts'

// Runs at a lower CPU priority than the server.
setPriority(5)
// A terminal sends these signals to the whole process group; the server then finishes its calls, which may
// need this process.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
process.on('disconnect', () => process.exit())

const watchdog = new Worker(new URL(`./watchdog${extname(import.meta.url)}`, import.meta.url), {
  argv: process.argv.slice(2),
})
// The watchdog must run before a file is read.
const isWatched = once(watchdog, 'message')
let takeBytes: ((bytes: Uint8Array) => void) | undefined

process.on('message', (message: ToInspector) => {
  if (message.kind === 'bytes') return takeBytes?.(message.bytes)
  void find(message.file).then(found => tell({ kind: 'found', found }))
})

async function find(file: InspectedFile): Promise<Inspection> {
  await isWatched
  watchdog.postMessage('begin')
  try {
    return await inspect({ ...file, read }, () => tell({ kind: 'recognised' }))
  } finally {
    watchdog.postMessage('end')
  }
}

function tell(message: FromInspector): void {
  process.send?.(message)
}

async function read(start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, end - start))
  for (let position = start; position < end; ) {
    const part = await readPart(position, Math.min(end, position + MAX_READ_BYTES))
    if (part.length === 0) return bytes.subarray(0, position - start)
    bytes.set(part, position - start)
    position += part.length
  }
  return bytes
}

function readPart(start: number, end: number): Promise<Uint8Array> {
  return new Promise(resolve => {
    takeBytes = resolve
    tell({ kind: 'read', start, end })
  })
}
