import { type CasesOf, MEMBERS, NOT_FOUND, nothing } from './case.ts'

export const ACCOUNT_CASES: CasesOf<'account' | 'apiTokens' | 'settings' | 'usage'> = {
  'account.me': [{ input: nothing, stranger: 'own' }],
  'account.sessions': [{ input: nothing, stranger: 'own' }],
  'account.revokeSession': [{ input: owner => ({ id: owner.sessionId }), stranger: NOT_FOUND }],
  'account.revokeOtherSessions': [{ input: nothing, stranger: 'own' }],
  'account.export': [{ input: nothing, stranger: 'own' }],
  'account.remove': [{ input: nothing, stranger: 'own' }],

  'apiTokens.create': [
    { input: () => ({ name: 'a token', scopes: ['tasks:read'] }), stranger: 'own' },
    {
      input: owner => ({ name: 'a token', scopes: ['tasks:read'], organizationId: owner.organizationId }),
      stranger: NOT_FOUND,
      colleague: MEMBERS,
    },
  ],
  'apiTokens.list': [{ input: nothing, stranger: 'own' }],
  'apiTokens.revoke': [{ input: owner => ({ id: owner.apiToken.id }), stranger: NOT_FOUND }],
  'apiTokens.rotate': [
    { input: owner => ({ id: owner.apiToken.id, graceSeconds: 60 }), stranger: NOT_FOUND },
  ],

  'settings.all': [{ input: nothing, stranger: 'own' }],
  'settings.get': [{ input: () => ({ key: 'locale' }), stranger: 'own' }],
  'settings.set': [{ input: () => ({ key: 'theme', value: 'dark' }), stranger: 'own' }],
  'settings.unset': [{ input: () => ({ key: 'locale' }), stranger: 'own' }],

  'usage.today': [{ input: nothing, stranger: 'own' }],
}
