declare module 'pg/lib/utils.js' {
  /** Maps a JavaScript value to what the wire takes: text, a buffer or null. */
  export function prepareValue(value: unknown): string | Buffer | null
}

declare module 'pg/lib/connection.js' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'
  import type { ConnectionOptions } from 'node:tls'

  /** The wire of one of pg's clients: it writes messages, and emits those of the server by their names. */
  export default class Connection extends EventEmitter {
    stream: Socket
    ssl: ConnectionOptions | false
    sslNegotiation: 'postgres' | 'direct'
    _ending: boolean
    _connecting: boolean
    constructor(config: { stream?: Socket })
    connect(port: number | string, host?: string): void
    attachListeners(stream: Socket): void
    upgradeToSSL(host: string, onError: (error: Error) => void): void
    requestSsl(): void
    cancel(processId: number, secretKey: number): void
    query(text: string): void
  }
}
