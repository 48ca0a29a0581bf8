import { randomUUID } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureDataDirectory } from '#server/app/data-directory.ts'
import type { Logger } from '#server/app/logger.ts'
import type { Provider } from '#server/rooms/connections/provider.ts'

/**
 * Stores a secret that a provider generated in a private file of the data directory, and logs the file's
 * path. Never logs the secret, since anyone who has it can sign deliveries. A later secret replaces an
 * earlier one.
 */
export async function keepWebhookSecret(
  { dataDir, log }: { readonly dataDir: string; readonly log: Pick<Logger, 'warn'> },
  { name, title, webhook }: Pick<Provider, 'name' | 'title' | 'webhook'>,
  secret: string,
): Promise<void> {
  ensureDataDirectory(dataDir)
  const path = join(dataDir, `${name}-webhook-token`)
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, secret, { mode: 0o600 })
  await rename(draft, path)
  log.warn(
    { path },
    `${title} sent a verification token: confirm it in ${title}, set ${webhook.secretVariable} to it, and restart`,
  )
}
