import { createHash } from 'node:crypto'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** As many connections to the database as our server's pool has. */
export const MAX_CONNECTIONS = 10
export const MAX_TASKS_PER_DAY = 1_000_000_000

/** What a variant's process is started with, as JSON in its first argument. */
export interface VariantOptions {
  readonly databaseUrl: string
}

export function readVariantOptions(): VariantOptions {
  return JSON.parse(process.argv[2] ?? '{}')
}

/**
 * What `auth.sessions.token` holds for a bearer token. The signature is left unchecked, which is less work
 * than ours does.
 */
export function storedTokenOf(authorization: string | undefined): string {
  const signed = authorization?.slice('Bearer '.length) ?? ''
  const raw = signed.slice(0, signed.lastIndexOf('.'))
  const digest = createHash('sha256').update(raw).digest()
  return createHash('sha256').update(digest).digest('hex')
}

/** Tells the parent where the server listens, and ends with it. */
export function announce(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    process.send?.({ port })
  })
  process.on('disconnect', () => process.exit())
  process.on('SIGTERM', () => process.exit())
}
