import { createHash } from 'node:crypto'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The number of database connections, the same as in our server's pool. */
export const MAX_CONNECTIONS = 10
export const MAX_TASKS_PER_DAY = 1_000_000_000

/** The options of a variant's process, passed as JSON in its first argument. */
export interface VariantOptions {
  readonly databaseUrl: string
}

export function readVariantOptions(): VariantOptions {
  return JSON.parse(process.argv[2] ?? '{}')
}

/**
 * The value of `auth.sessions.token` for a bearer token. The signature is not checked, which is less work
 * than our server does.
 */
export function storedTokenOf(authorization: string | undefined): string {
  const signed = authorization?.slice('Bearer '.length) ?? ''
  const raw = signed.slice(0, signed.lastIndexOf('.'))
  const digest = createHash('sha256').update(raw).digest()
  return createHash('sha256').update(digest).digest('hex')
}

/** Sends the server's port to the parent process, and exits when the parent does. */
export function announce(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    process.send?.({ port })
  })
  process.on('disconnect', () => process.exit())
  process.on('SIGTERM', () => process.exit())
}
