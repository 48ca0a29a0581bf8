import type { AnyProcedure, inferProcedureInput } from '@trpc/server'
import type { AppRouter } from '../../router.ts'
import type { Household } from './dataset.ts'

type Rooms = AppRouter['_def']['record']

type PathsOf<T, Prefix extends string = ''> = {
  [K in keyof T & string]: T[K] extends AnyProcedure ? `${Prefix}${K}` : PathsOf<T[K], `${Prefix}${K}.`>
}[keyof T & string]

type ProcedureAt<T, Path extends string> = Path extends `${infer Head}.${infer Rest}`
  ? Head extends keyof T
    ? ProcedureAt<T[Head], Rest>
    : never
  : Path extends keyof T
    ? T[Path]
    : never

/** Every procedure there is: `tasks.logs.append`. */
export type ProcedurePath = PathsOf<Rooms>

type InputOf<Path extends ProcedurePath> =
  ProcedureAt<Rooms, Path> extends infer P extends AnyProcedure ? inferProcedureInput<P> : never

export interface Case<Input = unknown> {
  /** A call that is the owner's to make, made of their ids; nothing where the procedure takes nothing. */
  readonly input: (owner: Household) => Input
  /**
   * What somebody else meets with the same input: `own` is an answer about themselves, since nothing in the input is the owner's.
   */
  readonly stranger: 'NOT_FOUND not_found' | 'FORBIDDEN not_a_member' | 'own'
}

const NOT_FOUND = 'NOT_FOUND not_found'
const nothing = () => undefined

/**
 * One call or more a procedure. The type makes a procedure without a case an error of the compiler, and the matrix makes it a
 * failing test.
 */
export const CASES: { readonly [Path in ProcedurePath]: readonly Case<InputOf<Path>>[] } = {
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

  'tasks.create': [
    { input: () => ({ prompt: 'a prompt' }), stranger: 'own' },
    {
      input: owner => ({ prompt: 'a prompt', organizationId: owner.organizationId }),
      stranger: 'FORBIDDEN not_a_member',
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
  'tasks.logs.append': [
    {
      input: owner => ({ taskId: owner.taskId, entries: [{ type: 'info', message: 'a line' }] }),
      stranger: NOT_FOUND,
    },
  ],
  'tasks.logs.list': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.messages.send': [
    { input: owner => ({ taskId: owner.taskId, content: 'a message' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.list': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],

  'usage.today': [{ input: nothing, stranger: 'own' }],
}
