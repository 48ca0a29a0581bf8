import type { House } from '#server/testing/actors.ts'

/** The role of each member, by user id. */
export async function rolesIn(house: House, organizationId: string): Promise<Record<string, string>> {
  const { rows } = await house.owner.query<{ user_id: string; role: string }>(
    'select user_id, role from auth.members where organization_id = $1',
    [organizationId],
  )
  return Object.fromEntries(rows.map(row => [row.user_id, row.role]))
}
