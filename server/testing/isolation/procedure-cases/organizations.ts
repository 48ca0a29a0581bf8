import { randomUUID } from 'node:crypto'
import { ADMINS, type CasesOf, MEMBERS, NOT_FOUND, nothing, OWNERS, organization } from './case.ts'

export const ORGANIZATION_CASES: CasesOf<'organizations' | 'aiProviders'> = {
  'organizations.create': [
    { input: () => ({ name: 'a team', slug: `team-${randomUUID()}` }), stranger: 'own' },
  ],
  'organizations.list': [{ input: nothing, stranger: 'own', colleague: MEMBERS }],
  'organizations.get': [{ input: organization, stranger: NOT_FOUND, colleague: MEMBERS }],
  'organizations.update': [
    {
      input: owner => ({ ...organization(owner), name: 'a team', logo: null }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
    },
    {
      input: owner => ({ ...organization(owner), allowSelfApproval: true }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
    {
      input: owner => ({ ...organization(owner), requireTwoFactor: false }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.remove': [{ input: organization, stranger: NOT_FOUND, colleague: OWNERS }],
  'organizations.restore': [
    { input: owner => ({ organizationId: owner.removedOrganizationId }), stranger: NOT_FOUND },
  ],
  'organizations.leave': [{ input: organization, stranger: NOT_FOUND, colleague: MEMBERS }],
  'organizations.setActive': [
    { input: organization, stranger: NOT_FOUND, colleague: MEMBERS },
    { input: () => ({ organizationId: null }), stranger: 'own' },
  ],
  'organizations.members.list': [{ input: organization, stranger: NOT_FOUND, colleague: MEMBERS }],
  'organizations.members.updateRole': [
    {
      input: owner => ({ ...organization(owner), userId: owner.colleagueId, role: 'admin' }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.members.remove': [
    {
      input: owner => ({ ...organization(owner), userId: owner.colleagueId }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.invitations.create': [
    {
      input: owner => ({ ...organization(owner), email: 'a.friend@example.com', role: 'admin' }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
    },
    {
      input: owner => ({ ...organization(owner), email: 'an.heir@example.com', role: 'owner' }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.invitations.list': [
    { input: nothing, stranger: 'own' },
    { input: organization, stranger: NOT_FOUND, colleague: ADMINS },
  ],
  'organizations.invitations.cancel': [
    { input: owner => ({ id: owner.sentInvitationId }), stranger: NOT_FOUND, colleague: ADMINS },
  ],
  'organizations.invitations.accept': [
    { input: owner => ({ id: owner.receivedInvitationId }), stranger: NOT_FOUND },
  ],
  'organizations.invitations.decline': [
    { input: owner => ({ id: owner.receivedInvitationId }), stranger: NOT_FOUND },
  ],

  'aiProviders.create': [
    {
      input: () => ({
        name: 'a provider',
        provider: 'anthropic',
        model: 'a model',
        credentials: 'a secret',
        limits: { tokensPerDay: 1_000 },
      }),
      stranger: 'their organization’s',
      colleague: ADMINS,
      isActing: true,
    },
  ],
  'aiProviders.list': [{ input: nothing, stranger: 'own', colleague: MEMBERS }],
  'aiProviders.update': [
    {
      input: owner => ({ id: owner.aiProviderId, model: 'another model', credentials: null }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      isActing: true,
    },
  ],
  'aiProviders.setDefault': [
    {
      input: owner => ({ id: owner.aiProviderId }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      isActing: true,
    },
  ],
  'aiProviders.remove': [
    {
      input: owner => ({ id: owner.aiProviderId }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      isActing: true,
    },
  ],
}
