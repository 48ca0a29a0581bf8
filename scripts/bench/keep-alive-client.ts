import { connect, type Socket } from 'node:net'

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n')
const READ_BYTES = 64 * 1024

export interface Answer {
  readonly status: number
  readonly head: string
  readonly body: Buffer
  readonly isChunked: boolean
}

/**
 * One keep-alive connection that sends prepared requests and reads only an answer's length and status. A
 * general HTTP client would use much of the machine that is being measured.
 */
export class KeepAliveClient {
  readonly #socket: Socket
  readonly #onAnswer: (client: KeepAliveClient, read: () => Answer) => void
  #received: Buffer | null = null

  /** `onAnswer` is called once an answer is complete; the caller must read its bytes before it returns. */
  constructor(options: {
    port: number
    onAnswer: (client: KeepAliveClient, read: () => Answer) => void
    onError: (error: Error) => void
  }) {
    this.#onAnswer = options.onAnswer
    this.#socket = connect({
      port: options.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (length, buffer) => {
          this.#read(buffer.subarray(0, length) as Buffer)
          return true
        },
      },
    })
    this.#socket.on('error', options.onError)
    this.#socket.on('close', () => options.onError(new Error('the server closed a connection')))
  }

  send(request: Buffer): void {
    this.#socket.write(request)
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    // The socket reuses its buffer, so an incomplete answer is copied.
    const bytes = this.#received ? Buffer.concat([this.#received, chunk]) : chunk
    const headEnd = bytes.indexOf(HEAD_END)
    const head = headEnd === -1 ? '' : bytes.toString('latin1', 0, headEnd + 2)
    const bodyStart = headEnd + HEAD_END.length
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
    const isChunked = length === undefined
    const isWhole =
      headEnd !== -1 &&
      (isChunked
        ? bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)
        : bytes.length >= bodyStart + Number(length))
    if (!isWhole) {
      this.#received = this.#received ? bytes : Buffer.from(bytes)
      return
    }
    this.#received = null
    this.#onAnswer(this, () => ({
      status: Number(head.slice(9, 12)),
      head,
      body: bytes.subarray(bodyStart),
      isChunked,
    }))
  }
}

export function bodyText({ body, isChunked }: Answer): string {
  if (!isChunked) return body.toString('utf8')
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.toString('latin1', at, lineEnd), 16)
    if (!(size > 0)) return Buffer.concat(parts).toString('utf8')
    parts.push(body.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
}
