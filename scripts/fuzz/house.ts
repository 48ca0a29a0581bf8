import { Agent, request } from 'node:http'
import { createSecret } from '#server/crypto/bearer-secrets.ts'
import { WEBHOOK_ENVIRONMENT } from '#server/testing/webhooks.ts'

/** What a server needs in its environment for every route to be there. */
export const FUZZED_ENVIRONMENT: Readonly<Record<string, string>> = {
  NODE_ENV: 'test',
  HOST: '127.0.0.1',
  PORT: '0',
  APP_URL: 'http://localhost:3000',
  // So that what proxies write is read.
  TRUST_PROXY: '127.0.0.0/8',
  ...WEBHOOK_ENVIRONMENT,
}

/** The server that is attacked, in this process: its main thread is what is measured. */
export interface FuzzedServer {
  send(request: HostileRequest): Promise<void>
  close(): void
}

export interface HostileRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'HEAD'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

/** A token that nobody was given, whose checksum is right: it comes as far as an input's schema. */
export const FORGED = { authorization: `Bearer ${createSecret('rht_')}` }
export const JSON_TYPE = { 'content-type': 'application/json' }

/** Node takes 16 KiB of request line and headers; some of it goes to what the client adds. */
export const MAX_HEAD_BYTES = 16 * 1024 - 400

export function attack(url: string): FuzzedServer {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const { hostname, port } = new URL(url)
  const send = ({ method, path, headers, body }: HostileRequest) =>
    new Promise<void>((resolve, reject) => {
      const outgoing = request(
        { agent, host: hostname, port, method, path, headers, insecureHTTPParser: true },
        incoming => {
          incoming.on('error', reject).on('end', resolve).resume()
        },
      )
      outgoing.on('error', reject).end(body)
    })
  return { send, close: () => agent.destroy() }
}
