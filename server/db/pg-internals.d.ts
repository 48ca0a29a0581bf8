declare module 'pg/lib/utils.js' {
  /** Converts a JavaScript value to its wire format: text, a buffer or null. */
  export function prepareValue(value: unknown): string | Buffer | null
}

declare module 'pg/lib/connection.js' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'
  import type { ConnectionOptions } from 'node:tls'

  /** The wire of one of pg's clients: writes messages, and emits the server's messages by name. */
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
