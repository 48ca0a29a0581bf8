import {
  type InfiniteData,
  InfiniteQueryObserver,
  type InfiniteQueryObserverOptions,
  QueryClient,
} from '@tanstack/react-query'
import { createTRPCOptionsProxy } from '@trpc/tanstack-react-query'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type AppRouter, appRouter } from '#server/rpc/router.ts'
import { type House, openHouse } from '#server/testing/actors.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { callProcedure, outcomeOf } from '#server/testing/isolation/call.ts'
import { createHousehold, type Household } from '#server/testing/isolation/dataset.ts'
import { bearer, casesOf } from '#server/testing/isolation/matrix.ts'
import { createClient } from './index.ts'

// Tests every paginated list with the requests of TanStack's infinite queries.

interface Items {
  readonly items: readonly { readonly id: string }[]
  readonly nextCursor: string | null
}
const definitions = appRouter._def.procedures as unknown as Record<string, { _def: { inputs: z.ZodType[] } }>

/** True if a schema, or a member of a union, has a member of this name. */
function takes(input: z.ZodType | undefined, name: string): boolean {
  if (!input) return false
  const schema = z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' })
  return [schema, ...(schema.anyOf ?? [])].some(({ properties = {} }) => name in properties)
}

const lists = Object.entries(definitions).flatMap(([path, { _def }]) =>
  takes(_def.inputs[0], 'cursor') ? [path] : [],
)

let house: House
let server: Awaited<ReturnType<typeof serveHouse>>
let owner: Household

beforeAll(async () => {
  house = await openHouse()
  server = await serveHouse(house.services)
  owner = await createHousehold(house, 'Owner')
})
afterAll(async () => {
  await server.close()
  await house.close()
})

test('all paginated lists are found', () => {
  expect(lists).toEqual(expect.arrayContaining(['tasks.list', 'tasks.messages.list', 'content.published']))
})

/** The cases of a list that start at its first page. */
const inputsOf = (path: string) =>
  casesOf(path).map(({ input }) => {
    const { cursor: _, ...made } = Object(input(owner)) as Record<string, unknown>
    return made
  })

describe('a direction and an empty cursor do not change the answer of', () => {
  test.for(lists)('%s', async path => {
    for (const input of inputsOf(path)) {
      const call = (more: object) =>
        callProcedure(house.services, { path, input: { ...input, ...more }, headers: bearer(owner) })
      const plain = await call({})
      expect(outcomeOf(plain)).toBe('OK')
      // Compares ids, since the signed URLs of media items differ between calls.
      const { items, ...rest } = JSON.parse(plain.body).json as Items
      const expected = { ...rest, items: items.map(({ id }) => ({ id })) }
      for (const more of [
        { direction: 'forward' },
        { direction: 'backward', cursor: null },
        { direction: undefined, cursor: undefined },
      ]) {
        expect(JSON.parse((await call(more)).body).json).toMatchObject(expected)
      }
      expect(outcomeOf(await call({ direction: 'sideways' }))).toBe('BAD_REQUEST invalid_input')
    }
  })
})

/** The common type of these lists; the list is chosen at run time. */
interface List {
  infiniteQueryOptions(
    input: object,
    options: { getNextPageParam(last: Items): string | null },
  ): InfiniteQueryObserverOptions<Items, Error, InfiniteData<Items>>
}

describe('an infinite query reads all pages, and reads them again on a refetch, of', () => {
  test.for(lists)('%s', async path => {
    const client = createClient({ url: `http://127.0.0.1:${server.port}`, token: owner.token })
    const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } })
    const rowhouse = createTRPCOptionsProxy<AppRouter>({ client, queryClient })
    const list = path
      .split('.')
      .reduce<unknown>((at, name) => Reflect.get(Object(at), name), rowhouse) as List
    let total = 0
    // `content.list` can also read by page number, which is not an infinite query.
    for (const input of inputsOf(path).filter(made => !('page' in made))) {
      const { body } = await callProcedure(house.services, { path, input, headers: bearer(owner) })
      const { items } = JSON.parse(body).json as Items
      total += items.length
      const options = list.infiniteQueryOptions(
        { ...input, limit: 1 },
        { getNextPageParam: last => last.nextCursor },
      )
      const observer = new InfiniteQueryObserver(queryClient, options)
      let result = await observer.fetchNextPage()
      while (result.hasNextPage && result.error === null) result = await observer.fetchNextPage()
      for (const { data, error } of [result, await observer.refetch()]) {
        expect(error).toBeNull()
        expect(data?.pages.map(page => page.items.map(({ id }) => id))).toEqual(
          items.length === 0 ? [[]] : items.map(({ id }) => [id]),
        )
      }
    }
    expect(total).toBeGreaterThan(0)
    queryClient.clear()
  })
})
