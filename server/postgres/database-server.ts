import type { Config } from '#server/app/config.ts'
import { findRunningEmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.ts'
import { LockHeldError } from './embedded/process-lock.ts'

/** The configured Postgres server, ready for connections. */
export interface DatabaseServer {
  readonly kind: 'embedded' | 'external'
  /**
   * The URL that the logins' URLs derive from, perhaps a pooler's; null if each login has a URL of its own.
   */
  readonly url: string | null
  /** The owner's direct URL; null for a process that may not migrate. */
  readonly ownerUrl: string | null
  /** True if this process started it, so that no other process serves from it. */
  readonly isStartedHere: boolean
  /** Stops the server if this process started it. */
  close(): Promise<void>
}

export interface OpenDatabaseServerOptions {
  log?: (line: string) => void
  /** True to use the embedded server that another process runs on the same directory, instead of throwing. */
  share?: boolean
}

/** Starts the embedded Postgres, or returns the URLs of the configured server without contacting it. */
export async function openDatabaseServer(
  config: Pick<Config, 'database' | 'dataDir'>,
  { log = () => {}, share = false }: OpenDatabaseServerOptions = {},
): Promise<DatabaseServer> {
  const { database, dataDir } = config
  if (database.kind === 'external') {
    return {
      kind: 'external',
      url: database.url,
      ownerUrl: database.directUrl,
      isStartedHere: false,
      close: async () => {},
    }
  }
  while (true) {
    const running = share ? await findRunningEmbeddedPostgres(dataDir) : null
    if (running) {
      return {
        kind: 'embedded',
        url: running,
        ownerUrl: running,
        isStartedHere: false,
        close: async () => {},
      }
    }
    try {
      const { url, stop } = await startEmbeddedPostgres({ dataDir, log })
      return { kind: 'embedded', url, ownerUrl: url, isStartedHere: true, close: stop }
    } catch (error) {
      // Another process started the server first: share it.
      const wasOvertaken = error instanceof Error && error.cause instanceof LockHeldError
      if (!share || !wasOvertaken) throw error
    }
  }
}
