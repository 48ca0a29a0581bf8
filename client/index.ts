import { createTRPCClient, type TRPCClient } from '@trpc/client'
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server'
import type { AppRouter } from '#server/rpc/router.ts'
import { type ConnectionOptions, connect } from './connection.ts'
import { createLinks } from './links.ts'

export type ClientOptions = ConnectionOptions
export type RowhouseClient = TRPCClient<AppRouter>
/** What each procedure takes: `Inputs['tasks']['create']`. */
export type Inputs = inferRouterInputs<AppRouter>
/** What each procedure answers: `Outputs['tasks']['get']`. */
export type Outputs = inferRouterOutputs<AppRouter>

/**
 * The typed client of one server under one credential. Calls of the same tick share a request, at most 20 of
 * them; every failure is a RowhouseError.
 */
export function createClient(options: ClientOptions): RowhouseClient {
  return createTRPCClient<AppRouter>({ links: createLinks(connect(options)) })
}

export {
  type Account,
  ConfirmationNeededError,
  type SecondFactor,
  SecondFactorNeededError,
  signIn,
  signOut,
  signUp,
  verifySecondFactor,
} from './auth.ts'
export { type ErrorCode, type ErrorReason, isRowhouseError, RowhouseError } from './errors.ts'
export type { AppRouter }
