import {
  ADMINS,
  type CasesOf,
  MEMBERS,
  NOBODY,
  NOT_FOUND,
  nothing,
  organization,
  ROLE_TOO_LOW,
} from './case.ts'

export const APPROVAL_CASES: CasesOf<'approvals'> = {
  'approvals.request': [
    {
      input: () => ({ kind: 'deploy', title: 'may it?', payload: { to: 'production' } }),
      stranger: 'own',
      colleague: MEMBERS,
    },
    {
      input: owner => ({
        kind: 'tool_call',
        title: 'may it?',
        payload: null,
        toolCallId: owner.awaitingToolCallId,
        priority: 'urgent',
      }),
      stranger: NOT_FOUND,
    },
    {
      input: owner => ({ kind: 'deploy', title: 'may it?', payload: {}, ...organization(owner) }),
      stranger: NOT_FOUND,
      colleague: MEMBERS,
    },
  ],
  'approvals.list': [
    { input: nothing, stranger: 'own', colleague: MEMBERS },
    {
      input: owner => ({ status: 'pending', cursor: `urgent:${owner.approvalId}` }),
      stranger: 'own',
      colleague: MEMBERS,
    },
  ],
  'approvals.get': [{ input: owner => ({ id: owner.leasedApprovalId }), stranger: NOT_FOUND }],
  'approvals.decide': [
    { input: owner => ({ id: owner.approvalId, decision: 'approve' }), stranger: NOT_FOUND },
    {
      input: owner => ({ id: owner.leasedApprovalId, decision: 'reject', note: 'no' }),
      stranger: NOT_FOUND,
    },
    {
      input: owner => ({ id: owner.organizationApprovalId, decision: 'approve' }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      owner: ROLE_TOO_LOW,
    },
  ],
  'approvals.cancel': [
    { input: owner => ({ id: owner.approvalId }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.organizationApprovalId }), stranger: NOT_FOUND, colleague: NOBODY },
  ],
  'approvals.stream': [{ input: nothing, stranger: 'own', colleague: MEMBERS }],
}
