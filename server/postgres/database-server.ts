import type { Config } from '#server/app/config.ts'
import { findRunningEmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.ts'
import { LockHeldError } from './embedded/process-lock.ts'

/** The Postgres of this configuration, ready to be connected to. */
export interface DatabaseServer {
  readonly kind: 'embedded' | 'external'
  /** What the logins' URLs derive from, perhaps a pooler; null when each login has a URL of its own. */
  readonly url: string | null
  /** The owner's, direct; null for a process that may not migrate. */
  readonly ownerUrl: string | null
  /** Whether it was started here, so that no other process serves from it. */
  readonly isStartedHere: boolean
  /** Stops what was started here, and only that. */
  close(): Promise<void>
}

export interface OpenDatabaseServerOptions {
  log?: (line: string) => void
  /**
   * Uses the embedded server that another process runs on the same directory, instead of refusing to start.
   */
  share?: boolean
}

/**
 * Starts the embedded Postgres, or names the server that the configuration names; that one is not contacted
 * yet.
 */
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
      // Another process was quicker: it is shared after all.
      const wasOvertaken = error instanceof Error && error.cause instanceof LockHeldError
      if (!share || !wasOvertaken) throw error
    }
  }
}
