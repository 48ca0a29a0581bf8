import type { House } from '../actors.ts'

export async function insertOne(house: House, sql: string, values: unknown[]): Promise<string> {
  const { rows } = await house.owner.query<{ id: string }>(sql, values)
  const [row] = rows
  if (!row) throw new Error('nothing was inserted')
  return row.id
}

export async function run(house: House, statements: [sql: string, values: unknown[]][]): Promise<void> {
  for (const [sql, values] of statements) await house.owner.query(sql, values)
}
