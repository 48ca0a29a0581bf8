import { type CasesOf, LEASES_ONLY, MEMBERS, NOT_FOUND, nothing } from './case.ts'

export const TASK_CASES: CasesOf<'tasks' | 'runs' | 'tools'> = {
  'tasks.create': [
    { input: () => ({ prompt: 'a prompt' }), stranger: 'own' },
    {
      input: owner => ({ prompt: 'a prompt', organizationId: owner.organizationId }),
      stranger: 'FORBIDDEN not_a_member',
      colleague: MEMBERS,
    },
    { input: () => ({ prompt: 'a prompt', keyProviders: ['anthropic', 'openai'] }), stranger: 'own' },
    {
      input: owner => ({
        prompt: 'a prompt',
        connectorIds: [owner.connectorId],
        keyProviders: ['anthropic'],
      }),
      stranger: NOT_FOUND,
    },
  ],
  'tasks.get': [{ input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.list': [
    { input: nothing, stranger: 'own' },
    { input: owner => ({ search: owner.canary, deleted: 'include' }), stranger: 'own' },
    { input: owner => ({ cursor: owner.stoppedTaskId, deleted: 'include' }), stranger: 'own' },
  ],
  'tasks.update': [
    { input: owner => ({ id: owner.taskId, title: 'a title', progress: 50 }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND },
  ],
  'tasks.stop': [{ input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.retry': [{ input: owner => ({ id: owner.stoppedTaskId }), stranger: NOT_FOUND }],
  'tasks.remove': [{ input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.restore': [{ input: owner => ({ id: owner.removedTaskId }), stranger: NOT_FOUND }],
  'tasks.claim': [{ input: () => ({ worker: 'a worker' }), stranger: 'own' }],
  'tasks.heartbeat': [{ input: nothing, stranger: LEASES_ONLY }],
  'tasks.complete': [
    { input: nothing, stranger: LEASES_ONLY },
    { input: () => ({ result: 'done' }), stranger: LEASES_ONLY },
  ],
  'tasks.secrets': [{ input: nothing, stranger: LEASES_ONLY }],
  'tasks.fail': [{ input: () => ({ error: 'it broke' }), stranger: LEASES_ONLY }],
  'tasks.logs.append': [
    {
      input: owner => ({ taskId: owner.taskId, entries: [{ type: 'info', message: 'a line' }] }),
      stranger: NOT_FOUND,
    },
  ],
  'tasks.logs.list': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.logs.stream': [
    { input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND },
    { input: owner => ({ taskId: owner.leasedTaskId, lastEventId: '0' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.send': [
    { input: owner => ({ taskId: owner.taskId, content: 'a message' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.list': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.messages.start': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.messages.append': [
    {
      input: owner => ({ id: owner.messageId, offset: owner.canary.length, delta: 'more' }),
      stranger: NOT_FOUND,
    },
    // An earlier attempt's, which changes nothing.
    { input: owner => ({ id: owner.messageId, offset: 0, delta: 'canary' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.finish': [{ input: owner => ({ id: owner.messageId }), stranger: NOT_FOUND }],
  'tasks.messages.stream': [
    { input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND },
    { input: owner => ({ taskId: owner.leasedTaskId, lastEventId: '1' }), stranger: NOT_FOUND },
  ],

  'runs.start': [
    { input: () => ({ agent: 'an agent' }), stranger: 'own' },
    { input: owner => ({ taskId: owner.taskId, agent: 'an agent' }), stranger: NOT_FOUND },
  ],
  'runs.finish': [
    { input: owner => ({ id: owner.runId, status: 'completed', output: 'done' }), stranger: NOT_FOUND },
  ],
  'runs.list': [
    { input: nothing, stranger: 'own' },
    { input: owner => ({ cursor: owner.runId }), stranger: 'own' },
    { input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND },
    { input: owner => ({ taskId: owner.leasedTaskId, status: 'running' }), stranger: NOT_FOUND },
  ],
  'runs.get': [{ input: owner => ({ id: owner.runId }), stranger: NOT_FOUND }],
  'runs.toolCalls.start': [
    {
      input: owner => ({ runId: owner.runId, callId: 'a call', tool: 'read_file', arguments: {} }),
      stranger: NOT_FOUND,
    },
    {
      // The very call that is there.
      input: owner => ({ runId: owner.runId, callId: owner.canary, tool: 'read_file', arguments: {} }),
      stranger: NOT_FOUND,
    },
  ],
  'runs.toolCalls.finish': [
    { input: owner => ({ id: owner.toolCallId, status: 'succeeded', result: 'done' }), stranger: NOT_FOUND },
  ],
  'runs.toolCalls.list': [
    { input: owner => ({ runId: owner.runId }), stranger: NOT_FOUND },
    { input: owner => ({ runId: owner.runId, cursor: owner.toolCallId }), stranger: NOT_FOUND },
  ],

  'tools.list': [{ input: nothing, stranger: 'own' }],
  'tools.enable': [
    { input: () => ({ slug: 'write_file' }), stranger: 'own' },
    { input: () => ({ slug: 'write_file', config: { protectedPaths: ['.git'] } }), stranger: 'own' },
  ],
  'tools.disable': [{ input: () => ({ slug: 'write_file' }), stranger: 'own' }],
}
