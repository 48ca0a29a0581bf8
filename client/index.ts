import { createTRPCClient, type TRPCClient } from '@trpc/client'
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server'
import type { AppRouter } from '#server/rpc/router.ts'
import { type ConnectionOptions, connect } from './connection.ts'
import { createLinks } from './links.ts'

export type ClientOptions = ConnectionOptions
export type RowhouseClient = TRPCClient<AppRouter>
/** The inputs of each procedure: `Inputs['tasks']['create']`. */
export type Inputs = inferRouterInputs<AppRouter>
/** The outputs of each procedure: `Outputs['tasks']['get']`. */
export type Outputs = inferRouterOutputs<AppRouter>

/**
 * The typed client of one server under one credential. At most 20 calls of the same tick share a request;
 * every failure is a RowhouseError.
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
