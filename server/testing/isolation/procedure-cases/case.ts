import type { AnyProcedure, inferProcedureInput } from '@trpc/server'
import type { AppRouter } from '#server/rpc/router.ts'
import type { Role } from '../../actors.ts'
import type { Household } from '../dataset.ts'

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
   * What somebody else meets with the same input: `own` is an answer about themselves, since nothing in the
   * input is the owner's; `public` is the owner's answer, which is everyone's.
   */
  readonly stranger:
    | 'NOT_FOUND not_found'
    | 'FORBIDDEN not_a_member'
    | 'FORBIDDEN missing_scope'
    | 'own'
    | 'public'
    /** The same about the organization in which they act; to who acts in none, not_a_member. */
    | 'their organization’s'
  /**
   * What those meet who belong to the owner's organization, where they meet something else than a stranger.
   */
  readonly colleague?: { readonly [R in Role]: 'OK' | 'FORBIDDEN role_too_low' }
  /** Whether it is about the organization in which the call acts, so that a colleague must name it. */
  readonly isActing?: true
  /** What the owner meets here, where that is no answer. */
  readonly owner?: typeof NO_PROVIDER | typeof COOKIES_ONLY | typeof ROLE_TOO_LOW | typeof NO_FILE
}

export const NOT_FOUND = 'NOT_FOUND not_found'
/** What anyone meets who holds no lease. */
export const LEASES_ONLY = 'FORBIDDEN missing_scope'
/** What the owner meets of an upload whose file has not arrived. */
export const NO_FILE = 'CONFLICT illegal_transition'
export const nothing = () => undefined
/** No provider is set up in the matrix: the call got as far as the outside world. */
export const NO_PROVIDER = 'PRECONDITION_FAILED provider_not_configured'
/** What anyone meets who sends their session in a header. */
export const COOKIES_ONLY = 'FORBIDDEN missing_scope'

export const ROLE_TOO_LOW = 'FORBIDDEN role_too_low'
export const MEMBERS = { owner: 'OK', admin: 'OK', member: 'OK' } as const
export const ADMINS = { ...MEMBERS, member: ROLE_TOO_LOW } as const
export const OWNERS = { ...ADMINS, admin: ROLE_TOO_LOW } as const
/** What is another member's own, whatever one's role. */
export const NOBODY = { ...OWNERS, owner: ROLE_TOO_LOW } as const

export function organization(owner: Household): { organizationId: string } {
  return { organizationId: owner.organizationId }
}

/** Cases of every procedure of these rooms. */
export type CasesOf<Room extends keyof Rooms> = {
  readonly [Path in Extract<ProcedurePath, Room | `${Room}.${string}`>]: readonly Case<InputOf<Path>>[]
}

/** Cases of every procedure there is. */
export type AllCases = CasesOf<keyof Rooms>
