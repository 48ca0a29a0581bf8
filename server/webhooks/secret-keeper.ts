import { randomUUID } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureDataDirectory } from '#server/app/data-directory.ts'
import type { Logger } from '#server/app/logger.ts'
import type { Provider } from '#server/rooms/connections/provider.ts'

/**
 * Keeps the secret that a provider made up for the operator, in a file of the data directory that nobody else
 * reads, and logs where: whoever has it can sign deliveries, so it is no matter for a log. A later secret
 * takes the place of an earlier one.
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
    `${title} sent a verification token: confirm it in ${title}, and start again with ${webhook.secretVariable} set to it`,
  )
}
