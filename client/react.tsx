// React over TanStack Query: `const rowhouse = useRowhouse(); useQuery(rowhouse.tasks.list.queryOptions({
// status: 'pending' }))`.
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createTRPCContext, type TRPCOptionsProxy } from '@trpc/tanstack-react-query'
import { type ReactNode, useState } from 'react'
import type { AppRouter } from '#server/rpc/router.ts'
import { isRowhouseError } from './errors.ts'
import type { RowhouseClient } from './index.ts'

const { TRPCProvider, useTRPC, useTRPCClient } = createTRPCContext<AppRouter>()

/** Options, keys and filters of every procedure, for TanStack Query's hooks. */
export const useRowhouse: () => TRPCOptionsProxy<AppRouter> = useTRPC
/** The plain client, for calls without TanStack Query. */
export const useRowhouseClient: () => RowhouseClient = useTRPCClient

export interface RowhouseProviderProps {
  /** A client has one credential: for another user pass another client, and clear the query client. */
  readonly client: RowhouseClient
  /** The application's own query client; by default the provider creates one. */
  readonly queryClient?: QueryClient
  readonly children?: ReactNode
}

/** Provides a client and a query cache to its children. */
export function RowhouseProvider({ client, queryClient, children }: RowhouseProviderProps): ReactNode {
  const [ownQueryClient] = useState(createQueryClient)
  const usedQueryClient = queryClient ?? ownQueryClient
  return (
    <QueryClientProvider client={usedQueryClient}>
      <TRPCProvider trpcClient={client} queryClient={usedQueryClient}>
        {children}
      </TRPCProvider>
    </QueryClientProvider>
  )
}

const MAX_RETRIES = 3
const STALE_MS = 5_000

/** A query client that retries only failures that may pass: the server would refuse a refused call again. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: STALE_MS,
        retry: (failures, error) => failures < MAX_RETRIES && isPassing(error),
        retryDelay: (failures, error) => Math.max(1_000 * 2 ** failures, untilRetryMs(error)),
      },
    },
  })
}

function isPassing(error: unknown): boolean {
  if (!isRowhouseError(error)) return false
  return (
    error.code === 'UNREACHABLE' || error.code === 'SERVICE_UNAVAILABLE' || error.reason === 'rate_limited'
  )
}

function untilRetryMs(error: unknown): number {
  return isRowhouseError(error) && error.retryAt ? error.retryAt.getTime() - Date.now() : 0
}
