import type { Database } from '#server/db/database.ts'
import type { SetSetting, SettingKey, Settings } from './schema.ts'

export async function listSettings(db: Database): Promise<Partial<Settings>> {
  const rows = await db.selectFrom('app.settings').select(['key', 'value']).orderBy('key').execute()
  return Object.fromEntries(rows.map(row => [row.key, row.value]))
}

export async function getSetting(db: Database, key: SettingKey): Promise<Settings[SettingKey] | null> {
  const row = await db.selectFrom('app.settings').select('value').where('key', '=', key).executeTakeFirst()
  return (row?.value ?? null) as Settings[SettingKey] | null
}

export async function setSetting(db: Database, { key, value }: SetSetting): Promise<SetSetting> {
  await db
    .insertInto('app.settings')
    .values({ key, value: JSON.stringify(value) })
    .onConflict(conflict =>
      conflict.columns(['userId', 'key']).doUpdateSet(eb => ({ value: eb.ref('excluded.value') })),
    )
    .execute()
  return { key, value } as SetSetting
}

/** Deletes a setting; does nothing if it is not set. */
export async function unsetSetting(db: Database, key: SettingKey): Promise<{ key: SettingKey }> {
  await db.deleteFrom('app.settings').where('key', '=', key).execute()
  return { key }
}
