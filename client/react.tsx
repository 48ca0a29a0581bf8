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
/** The client itself, for calls outside of TanStack Query. */
export const useRowhouseClient: () => RowhouseClient = useTRPCClient

export interface RowhouseProviderProps {
  /** One client is one credential: give another user another client, and clear the query client. */
  readonly client: RowhouseClient
  /** The application's own; without it the provider makes one. */
  readonly queryClient?: QueryClient
  readonly children?: ReactNode
}

/** Gives the tree below a client and a query cache. */
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

/**
 * A query client that tries again only what may end differently: what the server refused, it would refuse
 * again.
 */
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
