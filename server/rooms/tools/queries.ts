import { sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import { notFound } from '#server/rpc/errors.ts'
import type { Json } from '#server/rpc/inputs.ts'
import { checkConfig } from './config.ts'
import type { EnableTool, Tool } from './schema.ts'

/** Lists the catalogue with the caller's settings, by name. */
export async function listTools(db: Database): Promise<Tool[]> {
  return (await selectTools(db).orderBy('tool.slug').execute()) as Tool[]
}

/** Enables a tool. Throws `invalid_input` if its new or stored config does not match the tool's schema. */
export async function enableTool(db: Database, input: EnableTool): Promise<Tool> {
  const tool = await getTool(db, input.slug)
  await checkConfig(tool.slug, tool.configSchema, input.config ?? tool.config)
  const config = input.config && JSON.stringify(input.config)
  const row = await db
    .insertInto('app.userTools')
    .columns(['toolId', 'isEnabled', 'config'])
    .expression(query =>
      query
        .selectFrom('app.tools')
        .select([
          'id',
          sql<boolean>`true`.as('isEnabled'),
          sql<string>`coalesce(${config ?? null}::jsonb, '{}')`.as('config'),
        ])
        .where('slug', '=', input.slug),
    )
    .onConflict(conflict =>
      conflict.columns(['userId', 'toolId']).doUpdateSet({ isEnabled: true, ...(config ? { config } : {}) }),
    )
    .returning('config')
    .executeTakeFirst()
  if (!row) throw notFound('tool')
  return { ...tool, enabled: true, config: row.config as Json }
}

/** Disables a tool and keeps its config; does nothing if it is not enabled. */
export async function disableTool(db: Database, slug: string): Promise<Tool> {
  await db
    .updateTable('app.userTools')
    .set({ isEnabled: false })
    .where('toolId', 'in', eb => eb.selectFrom('app.tools').select('id').where('slug', '=', slug))
    .execute()
  return getTool(db, slug)
}

async function getTool(db: Database, slug: string): Promise<Tool> {
  const row = await selectTools(db).where('tool.slug', '=', slug).executeTakeFirst()
  if (!row) throw notFound('tool')
  return row as Tool
}

function selectTools(db: Database) {
  return db
    .selectFrom('app.tools as tool')
    .leftJoin('app.userTools as own', 'own.toolId', 'tool.id')
    .select([
      'tool.slug',
      'tool.name',
      'tool.description',
      'tool.category',
      'tool.tags',
      'tool.inputSchema',
      'tool.configSchema',
      'tool.requiresApproval',
      'tool.requiresConnection',
      sql<boolean>`coalesce(own.is_enabled, false)`.as('enabled'),
      sql<Json>`coalesce(own.config, '{}')`.as('config'),
    ])
}
