import { identityOf } from '#server/db/identity.ts'

/** Somebody who is signed in, for calls to a provider that touch no database. */
export const TEST_IDENTITY = identityOf({
  userId: '01890000-0000-7000-8000-000000000001',
  kind: 'session',
  credentialId: '01890000-0000-7000-8000-000000000002',
  organizationId: null,
  organizationRole: null,
  scopes: null,
})
