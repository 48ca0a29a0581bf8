import { afterAll, beforeAll, describe, test } from 'vitest'
import { SCOPES, type Scope } from '#server/rpc/scopes.ts'
import { createApiToken } from '../actors.ts'
import { procedures } from './call.ts'
import { createHousehold } from './dataset.ts'
import { bearer, definitionOf, type Matrix, openMatrix, paths } from './matrix.ts'

// Tokens of the owner's own that allow too little.

let matrix: Matrix

beforeAll(async () => {
  matrix = await openMatrix()
})

afterAll(async () => {
  await matrix.close()
})

describe('the owner’s token without the scope gets nowhere with', () => {
  const scoped = procedures.flatMap(({ path, permission }) =>
    permission === 'any' || permission === 'none' ? [] : [{ path, permission }],
  )

  test.for(scoped)('$path', async ({ path, permission }) => {
    const lacking = SCOPES.filter(scope => scope !== permission && scope !== asWrite(permission))
    await matrix.expectRefused(
      path,
      bearer(await createApiToken(matrix.owner, { scopes: lacking })),
      'FORBIDDEN missing_scope',
    )
    await matrix.expectRefused(
      path,
      bearer(await createApiToken(matrix.owner, { scopes: [] })),
      'FORBIDDEN missing_scope',
    )
  })
})

test('a token that lists what is no scope is none the stronger', async () => {
  const token = await createApiToken(matrix.owner, { scopes: [] })
  await matrix.house.owner.query(`update app.api_tokens set scopes = '{session,any,lease,*}' where id = $1`, [
    token.id,
  ])
  for (const { path, permission } of procedures) {
    if (permission !== 'any' && permission !== 'none')
      await matrix.expectRefused(path, bearer(token), 'FORBIDDEN missing_scope')
  }
})

describe('the owner’s token that may only read gets nowhere with', () => {
  const writing = procedures.flatMap(({ path, permission }) =>
    permission.endsWith(':write') ? [{ path, permission }] : [],
  )

  test.for(writing)('$path', async ({ path, permission }) => {
    const scopes = [permission.replace(':write', ':read') as Scope]
    await matrix.expectRefused(
      path,
      bearer(await createApiToken(matrix.owner, { scopes })),
      'FORBIDDEN missing_scope',
    )
  })
})

describe('a token bound to one organization acts in no other:', () => {
  test.for(paths)('%s', async path => {
    const token = await createApiToken(matrix.owner, {
      scopes: SCOPES,
      organizationId: matrix.owner.organizationId,
    })
    const other = await createHousehold(matrix.house, 'Other')
    await matrix.house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
      other.organizationId,
      matrix.owner.userId,
    ])
    const isScoped = !['session', 'lease'].includes(definitionOf(path).permission)
    const outcome = isScoped ? 'FORBIDDEN not_a_member' : 'FORBIDDEN missing_scope'
    await matrix.expectRefused(path, { ...bearer(token), 'x-organization-id': other.organizationId }, outcome)
  })
})

function asWrite(permission: string): string {
  return permission.replace(/:read$/, ':write')
}
