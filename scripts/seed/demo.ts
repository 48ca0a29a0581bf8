// The seed's users and tasks, as plain data.
import type { AppendLogs, CreateTask, MESSAGE_ROLES, UpdateTask } from '#server/rooms/tasks/schema.ts'
import type { TaskStatus } from '#server/rooms/tasks/state.ts'

/** Public, which is why the seed is refused in production. */
export const PASSWORD = 'rowhouse-demo'

export interface DemoUser {
  readonly email: string
  readonly name: string
}

export const ADA: DemoUser = { email: 'ada@example.com', name: 'Ada Lovelace' }
export const GRACE: DemoUser = { email: 'grace@example.com', name: 'Grace Hopper' }

export const ORGANIZATION = { name: 'Analytical Engines', slug: 'analytical-engines' } as const

/** Shell commands that leave Ada's bearer token in `$TOKEN`. */
export function tokenCommands(url: string): string[] {
  const signIn = JSON.stringify({ email: ADA.email, password: PASSWORD })
  return [
    `TOKEN=$(curl -s -o /dev/null -D - ${url}/api/auth/sign-in/email -H 'content-type: application/json' -d '${signIn}' \\`,
    `  | sed -n 's/^set-auth-token: //p' | tr -d '\\r')`,
  ]
}

export interface DemoTask extends Pick<CreateTask, 'prompt' | 'repoUrl' | 'agent' | 'model' | 'options'> {
  readonly owner: DemoUser
  readonly title: string
  readonly state: TaskStatus | 'removed'
  /** True if it belongs to the organization. */
  readonly isShared?: boolean
  readonly logs?: AppendLogs['entries']
  readonly messages?: readonly { role: (typeof MESSAGE_ROLES)[number]; content: string }[]
  readonly changes?: Omit<UpdateTask, 'id'>
  readonly error?: string
}

const REPO = 'https://github.com/example/analytical-engine'
const AGENT = { repoUrl: REPO, agent: 'claude' }

export const TASKS: readonly DemoTask[] = [
  {
    // The first task that a worker of Ada's claims.
    owner: ADA,
    title: 'Watch me work',
    prompt: 'Write down what you do while you do it, so that somebody can watch.',
    ...AGENT,
    state: 'pending',
  },
  {
    owner: ADA,
    title: 'Retry card writes',
    prompt: 'Card writes fail now and then when the reader is busy. Retry them with a backoff.',
    ...AGENT,
    state: 'stopped',
    logs: [
      { type: 'info', message: 'cloned the repository' },
      { type: 'info', message: 'stopped by the user' },
    ],
    messages: [{ role: 'user', content: 'Stop, I found out that the reader itself is broken.' }],
  },
  {
    owner: ADA,
    title: 'Upgrade the build to Node 24',
    prompt: 'Move the build and its pipeline from Node 20 to Node 24.\n\nKeep the lock file small.',
    ...AGENT,
    state: 'error',
    changes: { progress: 35, branchName: 'node-24' },
    logs: [
      { type: 'info', message: 'cloned the repository' },
      { type: 'command', message: '$ npm ci' },
      { type: 'error', message: 'npm error code EBADENGINE' },
    ],
    error: 'npm ci ended with exit code 1: a dependency refuses Node 24',
  },
  {
    owner: ADA,
    title: 'Compute Bernoulli numbers',
    prompt: 'Write a program that computes the first twenty Bernoulli numbers, with tests.',
    ...AGENT,
    model: 'opus',
    options: { installDependencies: true, maxDurationSeconds: 1_800 },
    state: 'completed',
    isShared: true,
    changes: {
      progress: 100,
      branchName: 'bernoulli',
      pullRequest: { url: `${REPO}/pull/8`, number: 8, status: 'open' },
    },
    logs: [
      { type: 'info', message: 'cloned the repository' },
      { type: 'command', message: '$ npm ci' },
      { type: 'info', message: 'wrote bernoulli.ts and bernoulli.test.ts' },
      { type: 'command', message: '$ npm test' },
      { type: 'error', message: 'B(1) is -1/2, expected 1/2' },
      { type: 'info', message: 'settled on B(1) = +1/2 and said so in the docs' },
      { type: 'command', message: '$ npm test' },
      { type: 'success', message: '20 tests passed' },
    ],
    messages: [
      { role: 'user', content: 'Which sign does B(1) have?' },
      { role: 'agent', content: 'Both are in use. I took +1/2, as in the sums that the engine needs.' },
      { role: 'user', content: 'Good. Write that down.' },
      { role: 'agent', content: 'Done: it is in the comment above the function and in the README.' },
    ],
  },
  {
    owner: ADA,
    title: 'Print the tables in columns',
    prompt: 'Print the tables of results in columns, so that they fit a page.',
    ...AGENT,
    state: 'processing',
    isShared: true,
    changes: { progress: 60, branchName: 'columns', previewUrl: 'https://columns.example.com' },
    logs: [
      { type: 'info', message: 'cloned the repository' },
      { type: 'command', message: '$ npm ci' },
      { type: 'info', message: 'laying out 50 rows a page' },
    ],
    messages: [
      { role: 'user', content: 'A4, please.' },
      { role: 'agent', content: 'A4 it is: 50 rows and 4 columns fit.' },
    ],
  },
  {
    owner: ADA,
    title: 'Explain the loop of cards',
    prompt: 'Explain in the docs how a loop of cards works, with a drawing.',
    ...AGENT,
    state: 'pending',
  },
  {
    owner: ADA,
    title: 'Rename everything to Engine',
    prompt: 'Rename every class so that it ends in Engine.',
    state: 'removed',
    logs: [{ type: 'info', message: 'nothing was done yet' }],
  },
  {
    owner: GRACE,
    title: 'Find the moth',
    prompt: 'Relay 70 in panel F fails. Find out why.',
    repoUrl: 'https://github.com/example/mark-ii',
    agent: 'claude',
    state: 'completed',
    changes: { progress: 100 },
    logs: [
      { type: 'command', message: '$ inspect --panel F --relay 70' },
      { type: 'success', message: 'first actual case of bug being found' },
    ],
    messages: [{ role: 'user', content: 'Tape it into the log book.' }],
  },
  {
    owner: GRACE,
    title: 'Write a compiler',
    prompt: 'Write a compiler that takes English words. They say it cannot be done.',
    state: 'pending',
    isShared: true,
  },
]
