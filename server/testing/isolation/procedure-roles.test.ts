import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SCOPES } from '#server/rpc/scopes.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type Role,
} from '../actors.ts'
import { outcomeOf } from './call.ts'
import { createHousehold, type Household, removeHousehold } from './dataset.ts'
import { bearer, casesOf, definitionOf, type Matrix, openMatrix, paths } from './matrix.ts'

// Those who have something to do with the owner's organization, or with another one, with the owner's ids.
// Ex-members are among the strangers.

let matrix: Matrix

beforeAll(async () => {
  matrix = await openMatrix()
})

afterAll(async () => {
  await matrix.close()
})

async function join(organizationId: string, role: Role): Promise<Actor> {
  const actor = await createActor(matrix.house, { name: role })
  await matrix.house.owner.query(
    'insert into auth.members (organization_id, user_id, role) values ($1, $2, $3)',
    [organizationId, actor.userId, role],
  )
  return actor
}

async function leave(actor: Actor, organizationId: string): Promise<void> {
  await matrix.house.owner.query('delete from auth.members where user_id = $1 and organization_id = $2', [
    actor.userId,
    organizationId,
  ])
}

function actingIn(caller: { authorization: string }, organizationId: string) {
  return { ...bearer(caller), 'x-organization-id': organizationId }
}

const roles = (['owner', 'admin', 'member'] as const).flatMap(role =>
  paths.map((path): [Role, string] => [role, path]),
)

describe('of the owner’s organization', () => {
  test.for(roles)(
    'another %s gets with %s what the role allows, and nothing of the owner’s',
    async ([role, path]) => {
      const cases = casesOf(path)
      for (const { input, colleague, isActing } of cases) {
        if (!colleague) continue
        // One of their own each, since some calls end it.
        const household: Household = await createHousehold(matrix.house, 'Householder')
        const actor = await join(household.organizationId, role)
        const acting = actingIn(actor, household.organizationId)
        for (const headers of isActing ? [acting] : [acting, bearer(actor)]) {
          const before = await matrix.fingerprint()
          const outcome = outcomeOf(await matrix.call(path, input(household), headers))
          expect(outcome).toBe(colleague[role])
          if (outcome === 'OK') break
          expect(await matrix.fingerprint()).toEqual(before)
        }
        await removeHousehold(matrix.house, household)
      }
      if (cases.every(({ colleague }) => colleague)) return
      const actor = await join(matrix.owner.organizationId, role)
      await matrix.expectStrangersAnswer(path, actor, actingIn(actor, matrix.owner.organizationId), {
        isColleague: true,
      })
      await leave(actor, matrix.owner.organizationId)
    },
  )
})

describe('who is invited into the owner’s organization gets nowhere with', () => {
  // What they see of it is the invitation.
  const seeing = 'organizations.invitations.list'

  test.for(paths)('%s', async path => {
    const invited = await createActor(matrix.house, { name: 'Invited' })
    const { organizationId } = matrix.owner
    await createInvitation(matrix.owner, { organizationId, email: invited.email, role: 'owner' })
    const isLeasesOnly = definitionOf(path).permission === 'lease'
    const outcome = isLeasesOnly ? 'FORBIDDEN missing_scope' : 'FORBIDDEN not_a_member'
    await matrix.expectRefused(path, actingIn(invited, organizationId), outcome)
    if (path !== seeing) await matrix.expectStrangersAnswer(path, invited, bearer(invited))
    await matrix.house.owner.query('delete from auth.invitations where email = $1', [invited.email])
  })

  test('what the invitation shows', async () => {
    const invited = await createActor(matrix.house, { name: 'Invited' })
    const { organizationId } = matrix.owner
    const id = await createInvitation(matrix.owner, { organizationId, email: invited.email })
    const answer = await matrix.call(seeing, undefined, bearer(invited))
    expect(answer.body).toContain(id)
    expect(answer.body).not.toContain(matrix.owner.canary)
    expect(answer.body).not.toContain(matrix.owner.email)
    expect(answer.body).not.toContain(matrix.owner.sentInvitationId)
    await matrix.house.owner.query('delete from auth.invitations where id = $1', [id])
  })
})

describe('an owner of another organization gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const other = await createActor(matrix.house, { name: 'Other' })
    const { id } = await createOrganization(other)
    await matrix.expectStrangersAnswer(path, other, actingIn(other, id))
  })
})

describe('a member’s token that is bound to another organization gets nowhere with', () => {
  test.for(paths)('%s', async path => {
    const member = await join(matrix.owner.organizationId, 'admin')
    const { id: organizationId } = await createOrganization(member)
    const token = await createApiToken(member, { scopes: SCOPES, organizationId })
    const isScoped = !['session', 'lease'].includes(definitionOf(path).permission)
    const outcome = isScoped ? 'FORBIDDEN not_a_member' : 'FORBIDDEN missing_scope'
    await matrix.expectRefused(path, actingIn(token, matrix.owner.organizationId), outcome)
    if (isScoped) await matrix.expectStrangersAnswer(path, member, bearer(token))
    else await matrix.expectRefused(path, bearer(token), outcome)
    await leave(member, matrix.owner.organizationId)
  })
})
