import { Agent, request } from 'node:http'
import { createSecret } from '#server/crypto/bearer-secrets.ts'
import { WEBHOOK_ENVIRONMENT } from '#server/testing/webhooks.ts'

/** The environment with which a server has every route. */
export const FUZZED_ENVIRONMENT: Readonly<Record<string, string>> = {
  NODE_ENV: 'test',
  HOST: '127.0.0.1',
  PORT: '0',
  APP_URL: 'http://localhost:3000',
  // So that the server reads the headers that proxies write.
  TRUST_PROXY: '127.0.0.0/8',
  ...WEBHOOK_ENVIRONMENT,
}

/** The attacked server, in this process, whose main thread is measured. */
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

/** A token that was never issued but has a valid checksum, so that the input's schema runs. */
export const FORGED = { authorization: `Bearer ${createSecret('rht_')}` }
export const JSON_TYPE = { 'content-type': 'application/json' }

/** Node accepts 16 KiB of request line and headers; the rest is left for headers that the client adds. */
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
