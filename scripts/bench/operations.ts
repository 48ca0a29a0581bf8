import { signSessionToken } from '#server/auth/session-token.ts'
import { WORDS, word } from './content-dataset.ts'
import { type Dataset, sessionToken, taskId } from './dataset.ts'

/** The measured operations: name and procedure. */
const OPERATIONS = {
  get: 'tasks.get',
  list: 'tasks.list',
  create: 'tasks.create',
  append: 'tasks.logs.append',
  me: 'account.me',
  'content-list': 'content.list',
  'content-search': 'content.list',
} as const

export type Operation = keyof typeof OPERATIONS

export const OPERATION_NAMES = Object.keys(OPERATIONS) as Operation[]

/** The operations that use the content dataset; all others use the tasks. */
export const CONTENT_OPERATIONS: readonly Operation[] = ['content-list', 'content-search']
export const TASK_OPERATIONS = OPERATION_NAMES.filter(name => !CONTENT_OPERATIONS.includes(name))

const LIST_LIMIT = 20
const LOG_LINES = 10

/** The number of different requests (caller and task) of an operation; a measurement cycles through them. */
const REQUESTS = 16_384
/**
 * Step through users and tasks without a pattern that a cache could follow; both are prime to every count of
 * ours.
 */
const USER_STRIDE = 7_919
const TASK_STRIDE = 104_729

/** The address and the data that every variant needs to call a server and check its answers. */
export interface Target {
  readonly dataset: Dataset
  readonly authSecret: string
}

/** Encodes the requests of an operation. */
export function buildRequests(operation: Operation, { dataset, authSecret }: Target): Buffer[] {
  const tokens = Array.from({ length: Math.min(dataset.users, REQUESTS) }, (_, index) => {
    const user = (index * USER_STRIDE) % dataset.users
    return { user, token: signSessionToken(sessionToken(user), authSecret) }
  })
  return Array.from({ length: REQUESTS }, (_, index) => {
    const { user, token } = tokens[index % tokens.length] ?? { user: 0, token: '' }
    const task = taskId(dataset, user, (index * TASK_STRIDE) % Math.max(dataset.tasksPerUser, 1))
    return buildRequest(operation, { task, token, index })
  })
}

function buildRequest(
  operation: Operation,
  { task, token, index }: { task: string; token: string; index: number },
): Buffer {
  const path = `/trpc/${OPERATIONS[operation]}`
  switch (operation) {
    case 'get':
      return query(path, token, { id: task })
    case 'list':
      return query(path, token, { limit: LIST_LIMIT })
    case 'me':
      return query(path, token)
    case 'content-list':
      return query(path, token, { limit: LIST_LIMIT })
    case 'content-search':
      return query(path, token, { limit: LIST_LIMIT, search: word((index * TASK_STRIDE) % WORDS) })
    case 'create':
      return mutation(path, token, {
        prompt: `Find out why the build of service ${index} fails and mend it.\nOpen a pull request with a test.`,
        repoUrl: 'https://git.example.com/acme/service',
        agent: 'coder',
      })
    case 'append':
      return mutation(path, token, { taskId: task, entries: LOG_ENTRIES })
  }
}

const LOG_ENTRIES = Array.from({ length: LOG_LINES }, (_, line) => ({
  type: line % 5 === 0 ? 'command' : 'info',
  message: `step ${line}: resolved 214 packages in 1.4 s and linked 3 of them`,
}))

function query(path: string, token: string, input?: object): Buffer {
  const search = input ? `?input=${encodeURIComponent(JSON.stringify({ json: input }))}` : ''
  return Buffer.from(
    `GET ${path}${search} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n\r\n`,
  )
}

function mutation(path: string, token: string, input: object): Buffer {
  const body = JSON.stringify({ json: input })
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** Throws if the answer to an operation's request lacks the requested rows. */
export function checkAnswer(operation: Operation, body: string): void {
  const data = readData(body)
  const isPlausible = {
    'content-list': () =>
      Array.isArray(data.items) && data.items.length === LIST_LIMIT && data.items.every(isContent),
    'content-search': () => Array.isArray(data.items) && data.items.every(isContent),
    get: () => isTask(data),
    list: () => Array.isArray(data.items) && data.items.length === LIST_LIMIT && data.items.every(isTask),
    create: () => isTask(data) && data.status === 'pending',
    append: () => Number(data.lastSeq) >= LOG_LINES,
    me: () => JSON.stringify(data.user ?? null).includes('@example.com') && Array.isArray(data.scopes),
  }
  if (!isPlausible[operation]()) throw new Error(`${operation} answered ${body.slice(0, 300)}`)
}

function readData(body: string): Record<string, unknown> {
  const answer: { result?: { data?: { json?: Record<string, unknown> } } } = JSON.parse(body)
  return answer.result?.data?.json ?? {}
}

function isContent(value: unknown): boolean {
  const content = value as Record<string, unknown>
  return typeof content.slug === 'string' && JSON.stringify(content.creator ?? null).includes('"User ')
}

function isTask(value: unknown): boolean {
  const task = value as Record<string, unknown>
  return typeof task.id === 'string' && typeof task.prompt === 'string' && typeof task.createdAt === 'string'
}
