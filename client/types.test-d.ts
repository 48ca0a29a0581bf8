// Nothing here runs: tsc checks this file, and fails if a line marked as an error compiles.
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { createClient, type ErrorReason, type Inputs, isRowhouseError, type Outputs } from './index.ts'
import { createCaller } from './next.ts'
import { useRowhouse } from './react.tsx'

const client = createClient({ url: 'http://localhost:3000', token: 'secret' })
const id = '0198c1de-0000-7000-8000-000000000000'

export async function calls() {
  const task = await client.tasks.create.mutate({ prompt: 'Mend the roof', options: { keepAlive: true } })
  const createdAt: Date = task.createdAt
  const { items, nextCursor } = await client.tasks.list.query({ status: 'pending', cursor: task.id })
  const ids: string[] = items.map(item => item.id)
  const cursor: string | null = nextCursor
  await client.tasks.list.query()
  return { createdAt, ids, cursor }
}

export async function wrongInputs() {
  // @ts-expect-error A prompt is text.
  await client.tasks.create.mutate({ prompt: 7 })
  // @ts-expect-error A task needs a prompt.
  await client.tasks.create.mutate({ title: 'Roof' })
  // @ts-expect-error Nobody says whose task it is.
  await client.tasks.create.mutate({ prompt: 'Mend the roof', userId: id })
  // @ts-expect-error There is no such status.
  await client.tasks.list.query({ status: 'finished' })
  // @ts-expect-error A theme is not a number.
  await client.settings.set.mutate({ key: 'theme', value: 5 })
  // @ts-expect-error There is no such setting.
  await client.settings.get.query({ key: 'colour' })
}

export async function wrongOutputs() {
  const task = await client.tasks.get.query({ id })
  // @ts-expect-error A task has a createdAt.
  const date: Date = task.createdOn
  // @ts-expect-error A repository may be missing.
  const repoUrl: string = task.repoUrl
  // @ts-expect-error A list has items.
  const length: number = (await client.tasks.list.query()).length
  return { date, repoUrl, length }
}

export async function wrongProcedures() {
  // @ts-expect-error There is no such procedure.
  await client.tasks.destroy.mutate({ id })
  // @ts-expect-error There is no such room.
  await client.houses.list.query()
  // @ts-expect-error Creating is a mutation.
  await client.tasks.create.query({ prompt: 'Mend the roof' })
}

export function errors(error: unknown) {
  if (!isRowhouseError(error)) return undefined
  const reason: ErrorReason | undefined = error.reason
  const isQuota = error.reason === 'daily_quota' && error.retryAt instanceof Date
  // @ts-expect-error There is no such reason.
  const isOther = error.reason === 'bad_luck'
  return { reason, isQuota, isOther }
}

export function names() {
  const input: Inputs['tasks']['create'] = { prompt: 'Mend the roof' }
  const status = (
    task: Outputs['tasks']['get'],
  ): 'pending' | 'processing' | 'completed' | 'error' | 'stopped' => task.status
  return { input, status }
}

export function Titles() {
  const rowhouse = useRowhouse()
  const { data } = useQuery(rowhouse.tasks.list.queryOptions({ status: 'error' }))
  // @ts-expect-error There is no such status.
  useQuery(rowhouse.tasks.list.queryOptions({ status: 'finished' }))
  // @ts-expect-error A task has a title.
  return data?.items.map(task => task.heading)
}

export function AllTitles() {
  const rowhouse = useRowhouse()
  const options = { getNextPageParam: (last: { nextCursor: string | null }) => last.nextCursor }
  const tasks = useInfiniteQuery(rowhouse.tasks.list.infiniteQueryOptions({ status: 'error' }, options))
  const titles: string[] | undefined = tasks.data?.pages.flatMap(page => page.items.map(({ title }) => title))
  useInfiniteQuery(
    rowhouse.content.list.infiniteQueryOptions(
      {},
      // By number there is no cursor.
      { getNextPageParam: last => ('nextCursor' in last ? last.nextCursor : null) },
    ),
  )
  useInfiniteQuery(rowhouse.content.published.infiniteQueryOptions({}, options))
  useInfiniteQuery(rowhouse.approvals.list.infiniteQueryOptions({}, options))
  useInfiniteQuery(rowhouse.media.list.infiniteQueryOptions({}, options))
  // @ts-expect-error A task is no list.
  useInfiniteQuery(rowhouse.tasks.get.infiniteQueryOptions({ id }, options))
  return titles
}

export async function inProcess(request: Request) {
  const caller = createCaller(request)
  const task = await caller.tasks.create({ prompt: 'Mend the roof' })
  // @ts-expect-error A prompt is text.
  await caller.tasks.create({ prompt: 7 })
  // @ts-expect-error A task has a createdAt.
  return task.createdOn
}
