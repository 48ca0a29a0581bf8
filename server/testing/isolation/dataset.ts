import { hash, randomUUID } from 'node:crypto'
import { digestSessionToken } from '../../auth/session-token.ts'
import {
  type Actor,
  type ActorToken,
  createActor,
  createApiToken,
  createOrganization,
  type House,
} from '../actors.ts'

/** A user with at least one row in every table, and what those rows are called. */
export interface Household extends Actor {
  readonly organizationId: string
  readonly taskId: string
  readonly removedTaskId: string
  readonly stoppedTaskId: string
  readonly apiToken: ActorToken
  /** What a row of theirs holds and nobody else's does. */
  readonly canary: string
}

/** Makes a user who has something in every table, in an organization of their own. */
export async function createHousehold(house: House, name: string): Promise<Household> {
  const actor = await createActor(house, { name })
  const { id: organizationId } = await createOrganization(actor)
  const apiToken = await createApiToken(actor, { scopes: ['tasks:write', 'settings:write'], organizationId })
  const canary = `canary-${randomUUID()}`
  const { userId } = actor

  const [taskId, removedTaskId, stoppedTaskId] = await Promise.all([
    createTask(house, { userId, organizationId, canary }, `'pending', null, null`),
    createTask(house, { userId, organizationId, canary }, `'pending', now(), app.new_id()`),
    createTask(house, { userId, organizationId, canary }, `'stopped', null, null`),
  ])
  await run(house, [
    [
      'insert into app.task_logs (user_id, task_id, seq, type, message) values ($1, $2, 1, $3, $4)',
      [userId, taskId, 'info', canary],
    ],
    [
      `insert into app.task_messages (user_id, task_id, seq, role, content, status) values ($1, $2, 1, 'user', $3, 'complete')`,
      [userId, taskId, canary],
    ],
    [
      `insert into app.settings (user_id, key, value) values ($1, 'locale', to_jsonb($2::text))`,
      [userId, canary],
    ],
    [
      `insert into app.daily_usage (user_id, day, tasks) values ($1, (now() at time zone 'UTC')::date, 3)`,
      [userId],
    ],
    [`insert into app.rate_limits (key, expires_at) values ($1, now() + interval '1 hour')`, [canary]],
    [
      `insert into auth.accounts (user_id, account_id, provider_id, password) values ($1::uuid, $1::text, 'credential', $2)`,
      [userId, canary],
    ],
    [
      `insert into auth.verifications (identifier, value, expires_at) values ($1, $1, now() + interval '1 hour')`,
      [canary],
    ],
    [
      `insert into auth.invitations (organization_id, inviter_id, email, expires_at)
       values ($1, $2, $3, now() + interval '1 hour')`,
      [organizationId, userId, `${canary}@example.com`],
    ],
    ['insert into auth.two_factors (user_id, secret, backup_codes) values ($1, $2, $2)', [userId, canary]],
    ['update auth.users set image = $2 where id = $1', [userId, `https://example.com/${canary}`]],
    [
      'update auth.organizations set logo = $2 where id = $1',
      [organizationId, `https://example.com/${canary}`],
    ],
    ['update app.api_tokens set name = $2 where user_id = $1', [userId, canary]],
  ])
  return { ...actor, organizationId, taskId, removedTaskId, stoppedTaskId, apiToken, canary }
}

/** What travels to the database for this actor's session. */
export function sessionCredential(actor: Pick<Actor, 'token'>): string {
  return `s:${digestSessionToken(actor.token.slice(0, actor.token.lastIndexOf('.')))}`
}

/** What travels to the database for this API token. */
export function tokenCredential({ token }: Pick<ActorToken, 'token'>): string {
  return `t:${hash('sha256', token, 'hex')}`
}

/** The ids of this user and of their rows. */
export function idsOf(household: Household): string[] {
  const { userId, organizationId, taskId, removedTaskId, stoppedTaskId, sessionId, apiToken } = household
  return [userId, organizationId, taskId, removedTaskId, stoppedTaskId, sessionId, apiToken.id]
}

/** Values that occur in this user's rows and in nobody else's. */
export function marksOf(household: Household): string[] {
  return [...idsOf(household), household.canary]
}

async function createTask(
  house: House,
  { userId, organizationId, canary }: { userId: string; organizationId: string; canary: string },
  state: string,
): Promise<string> {
  const { rows } = await house.owner.query<{ id: string }>(
    `insert into app.tasks
       (user_id, organization_id, title, prompt, last_log_seq, last_message_seq, status, deleted_at, deletion_id)
     values ($1, $2, $3, $3, 1, 1, ${state}) returning id`,
    [userId, organizationId, canary],
  )
  return rows[0]?.id ?? ''
}

async function run(house: House, statements: [sql: string, values: unknown[]][]): Promise<void> {
  for (const [sql, values] of statements) await house.owner.query(sql, values)
}
