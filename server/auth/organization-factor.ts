// Refuses requests below /api/auth that concern an organization that requires a second factor, from members
// without one. The library has no such requirement; for procedures the database checks it at sign-in.

import type { BoundedPool } from './bounded-pool.ts'
import type { PreparedRequest } from './request.ts'
import { refuse } from './response.ts'
import { storedSessionToken } from './session-token.ts'

/**
 * The endpoints open to a member without the factor: listing organizations, answering invitations, leaving,
 * choosing another one.
 */
const OPEN = new Set([
  '/organization/create',
  '/organization/check-slug',
  '/organization/list',
  '/organization/leave',
  '/organization/accept-invitation',
  '/organization/reject-invitation',
  '/organization/get-invitation',
  '/organization/list-user-invitations',
])

/**
 * Refuses a request that names, or acts in, an organization that requires the factor, if the caller has none.
 */
export async function refuseWithoutFactor(
  { endpoint: { path }, input, query, sessionToken }: PreparedRequest,
  pool: BoundedPool,
): Promise<Response | null> {
  if (!path.startsWith('/organization/') || OPEN.has(path) || sessionToken === null) return null
  const fields = typeof input === 'object' && input !== null ? Object.values(input) : []
  const words = [...fields, ...query.values()].filter(word => typeof word === 'string')
  const { rows } = await pool.query(
    `select from auth.sessions s
     join auth.users u on u.id = s.user_id and not u.two_factor_enabled
     join auth.members m on m.user_id = u.id
     join auth.organizations o on o.id = m.organization_id and o.require_two_factor
     where s.token = $1
       and s.expires_at > now()
       and (
         o.slug = any ($2)
         or o.id::text = any ($3)
         or exists (select from auth.invitations i where i.organization_id = o.id and i.id::text = any ($3))
         -- Choosing another, or none, is the way out.
         or o.id = s.active_organization_id and $4
       )
     limit 1`,
    [
      storedSessionToken(sessionToken),
      words,
      words.map(word => word.toLowerCase()),
      path !== '/organization/set-active',
    ],
  )
  if (rows.length === 0) return null
  return refuse(
    412,
    'two_factor_required',
    'This organization requires two-factor sign-in: switch it on for your account, then try again',
  )
}
