import { randomUUID } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureDataDirectory } from '../data-directory.ts'
import type { Logger } from '../logger.ts'

const FILE = 'notion-webhook-token'

/**
 * Keeps Notion's verification token for the operator, in a file of the data directory that nobody else reads, and logs where:
 * whoever has it can sign deliveries, so it is no matter for a log. A later token takes the place of an earlier one.
 */
export function notionTokenKeeper(
  dataDir: string,
  log: Pick<Logger, 'warn'>,
): (token: string) => Promise<void> {
  return async token => {
    ensureDataDirectory(dataDir)
    const path = join(dataDir, FILE)
    const draft = `${path}.${randomUUID()}`
    await writeFile(draft, token, { mode: 0o600 })
    await rename(draft, path)
    log.warn(
      { path },
      'Notion sent a verification token: confirm it in Notion, and start again with NOTION_WEBHOOK_TOKEN set to it',
    )
  }
}
