import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { StatementAbortedError } from '#server/db/errors.ts'
import { AppError } from '#server/rpc/errors.ts'
import {
  type FromInspector,
  type InspectedFile,
  type Inspection,
  type InspectionLimits,
  MAX_READ_BYTES,
  PAST_CPU,
  PAST_MEMORY,
  type ToInspector,
} from './protocol.ts'

const PROGRAM = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))
const MEBIBYTE = 1024 ** 2
const MAX_STDERR = 2_000
const RETRY_MS = 5_000

const HEAP_FULL = 'SIGABRT'
/** The signals that end a process after a crash in native code. */
const CRASHES: ReadonlySet<string | null> = new Set(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'])

export interface InspectorFile extends InspectedFile {
  readonly read: (start: number, end: number) => Promise<Uint8Array>
}

interface Job {
  readonly file: InspectorFile
  readonly resolve: (found: Inspection) => void
  readonly reject: (error: unknown) => void
  isRecognised: boolean
}

/** A child process that inspects one file after another. Killed if a file exceeds the limits. */
export class Inspector {
  readonly #child: ChildProcess
  readonly #limits: InspectionLimits
  #job: Job | undefined
  #stderr = ''
  isAlive = true

  constructor(limits: InspectionLimits) {
    this.#limits = limits
    this.#child = fork(PROGRAM, [String(limits.cpuMs), String(limits.memoryBytes)], {
      execArgv: [`--max-old-space-size=${Math.ceil(limits.heapBytes / MEBIBYTE)}`],
      serialization: 'advanced',
      // The server's environment holds secrets.
      env: {},
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR)
    })
    this.#child.on('message', (message: FromInspector) => this.#receive(message))
    this.#child.once('error', cause => this.#fail(unexpected({ cause })))
    this.#child.once('close', (code, signal) => this.#end(code, signal))
    this.#keepProcess(false)
  }

  /**
   * Inspects a file. Throws the errors of `file.read`, `overloaded` if the inspection times out or the
   * process dies, and {@link StatementAbortedError} if the signal is aborted; each of these kills the
   * process.
   */
  async inspect(file: InspectorFile, signal?: AbortSignal): Promise<Inspection> {
    const { promise, resolve, reject } = Promise.withResolvers<Inspection>()
    this.#job = { file, resolve, reject, isRecognised: false }
    const onAbort = () => this.#fail(new StatementAbortedError())
    const timer = setTimeout(() => {
      this.#fail(overloaded('inspecting the file timed out: try again later'))
    }, this.#limits.wallMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#keepProcess(true)
    const { sizeBytes, mimeType, mediaType } = file
    this.#send({ kind: 'begin', file: { sizeBytes, mimeType, mediaType } })
    if (signal?.aborted) onAbort()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      this.#job = undefined
      this.#keepProcess(false)
    }
  }

  kill(): void {
    this.isAlive = false
    this.#child.kill('SIGKILL')
  }

  #receive(message: FromInspector): void {
    const job = this.#job
    if (!job) return
    if (message.kind === 'found') job.resolve(message.found)
    else if (message.kind === 'recognised') job.isRecognised = true
    else void this.#read(job, message)
  }

  async #read({ file }: Job, { start, end }: { start: number; end: number }): Promise<void> {
    try {
      if (!(start >= 0 && end >= start && end - start <= MAX_READ_BYTES)) {
        throw new Error(`the inspector requested an invalid range: bytes ${start} to ${end}`)
      }
      const bytes = await file.read(start, Math.min(end, file.sizeBytes))
      this.#send({ kind: 'bytes', bytes })
    } catch (error) {
      this.#fail(error)
    }
  }

  #send(message: ToInspector): void {
    // A failed send needs no handling: the `close` event reports that the process has ended.
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  #fail(error: unknown): void {
    this.#job?.reject(error)
    this.kill()
  }

  #end(code: number | null, signal: string | null): void {
    this.isAlive = false
    const job = this.#job
    if (!job) return
    const problem = this.#problemOf(signal)
    if (problem === null) {
      const detail = `it ended with ${signal ?? code}: ${this.#stderr.trim()}`
      job.reject(unexpected({ cause: new Error(detail) }))
    } else if (job.isRecognised && (job.file.mediaType === 'audio' || job.file.mediaType === 'video')) {
      // The content matches the type; only duration and dimensions are unknown, as in a file without them.
      job.resolve({ width: null, height: null, durationSeconds: null, thumbnail: null })
    } else job.resolve({ problem })
  }

  #problemOf(signal: string | null): string | null {
    const { cpuMs, memoryBytes, heapBytes } = this.#limits
    if (signal === PAST_CPU) return `inspecting the file takes more than ${cpuMs / 1_000} seconds of CPU time`
    if (signal === PAST_MEMORY) return tooMuchMemory(memoryBytes)
    if (signal === HEAP_FULL) return tooMuchMemory(heapBytes)
    return CRASHES.has(signal) ? 'the file is corrupt or does not match its declared type' : null
  }

  /** Whether the child process keeps the server's process alive. */
  #keepProcess(keep: boolean): void {
    const handles = [this.#child, this.#child.channel]
    for (const handle of handles) {
      if (keep) handle?.ref()
      else handle?.unref()
    }
  }
}

function tooMuchMemory(bytes: number): string {
  return `inspecting the file takes more than ${Math.round(bytes / MEBIBYTE)} MiB of memory`
}

function unexpected(details: { cause: unknown }): AppError {
  return overloaded('inspecting the file failed: try again', details)
}

function overloaded(message: string, details?: { cause: unknown }): AppError {
  const retryAt = new Date(Date.now() + RETRY_MS)
  return new AppError('overloaded', message, { ...details, isFault: details !== undefined, retryAt })
}
