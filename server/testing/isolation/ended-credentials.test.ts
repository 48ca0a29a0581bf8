import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { credentialOf } from '#server/crypto/bearer-secrets.ts'
import { SCOPES } from '#server/rpc/scopes.ts'
import {
  type Actor,
  type ActorToken,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '../actors.ts'
import { callerUnder } from '../claims.ts'
import { refusalOf } from '../refusal.ts'
import { sessionCredential, tokenCredential } from './dataset.ts'
import { connectAsApi } from './lease-prompt.ts'

// Tests ended credentials on a connection of the API's login, where sign_in is not called: the functions that
// policies call must check every way in which a credential can end.

let house: House
let client: pg.Client

beforeAll(async () => {
  house = await openHouse()
  client = await connectAsApi(house)
})

afterAll(async () => {
  await client.end()
  await house.close()
})

interface Setting {
  readonly owner: Actor
  /** Bound to the owner's organization. */
  readonly token: ActorToken
}

async function createSetting(): Promise<Setting> {
  const owner = await createActor(house)
  const { id: organizationId } = await createOrganization(owner)
  const token = await createApiToken(owner, { scopes: SCOPES, organizationId })
  await owner.caller().tasks.create({ prompt: 'x' })
  return { owner, token }
}

/** Ways for a session or a token to end, by which of the two it is; of `$1`, the row's id. */
const endings = {
  session: [
    ['expired', 'update auth.sessions set expires_at = now() where id = $1'],
    ['revoked', 'delete from auth.sessions where id = $1'],
  ],
  token: [
    ['expired', 'update app.api_tokens set expires_at = now() where id = $1'],
    ['revoked', 'update app.api_tokens set revoked_at = now() where id = $1'],
    ['past its grace', 'update app.api_tokens set grace_until = now() where id = $1'],
    ['hidden with its organization', 'update app.api_tokens set deletion_id = app.new_id() where id = $1'],
    ['removed', 'delete from app.api_tokens where id = $1'],
  ],
} as const

const cases = (['session', 'token'] as const).flatMap(kind =>
  endings[kind].map(([title, sql]) => [kind, title, sql] as const),
)

const LOOKS = [
  'select id from app.tasks',
  'select id from app.api_tokens',
  'select app.current_user_id()',
  'select app.current_owner_id()',
  'select app.current_session_id()',
  'select app.current_session_user_id()',
  'select app.current_organization_id()',
  'select unnest(app.member_organization_ids())',
  'select unnest(app.known_user_ids())',
  'select app.leased_user_id()',
  'select app.leased_task_id()',
  'select app.leased_id()',
  `select task_id from app.claim_task('x', 60, sha256('x'))`,
  'select id from app.list_sessions()',
  'select data from app.export_account()',
  'select id from auth.users',
  'select id from auth.organizations',
]

/** What somebody who presents the credential by hand is told: everything that is not nothing. */
async function told(credential: string): Promise<string[]> {
  const answers: string[] = []
  for (const look of LOOKS) {
    await client.query('begin')
    try {
      await client.query(`select set_config('app.credential', $1, true)`, [credential])
      const { rows } = await client.query<Record<string, unknown>>(look)
      if (rows.some(row => Object.values(row).some(value => value !== null))) answers.push(look)
    } finally {
      await client.query('rollback')
    }
  }
  return answers
}

function idOf({ owner, token }: Setting, kind: 'session' | 'token'): string {
  return kind === 'session' ? owner.sessionId : token.id
}

describe('presented by hand, nothing is seen with', () => {
  test.for(cases)('a %s that is %s', async ([kind, , ending]) => {
    const setting = await createSetting()
    const credential = kind === 'session' ? sessionCredential(setting.owner) : tokenCredential(setting.token)
    expect((await told(credential)).length).toBeGreaterThan(5)
    await house.owner.query(ending, [idOf(setting, kind)])
    expect(await told(credential)).toEqual([])
  })
})

describe('a lease ends, for its worker and for SQL, with', () => {
  test.for(cases)('the %s that it was claimed with: %s', async ([kind, , ending]) => {
    const setting = await createSetting()
    const claimant = kind === 'session' ? setting.owner : setting.token
    const claim = await claimant.caller().tasks.claim({ worker: 'w' })
    if (!claim) throw new Error('nothing was claimed')
    const credential = credentialOf(claim.lease, 'rhl_')
    const worker = callerUnder(house, claim.lease)
    await worker.tasks.heartbeat()
    expect(await told(credential)).toContain('select app.leased_task_id()')
    await house.owner.query(ending, [idOf(setting, kind)])
    expect((await refusalOf(worker.tasks.heartbeat())).reason).toBe('lease_lost')
    expect(await told(credential)).toEqual([])
  })
})

test('a session that has expired is not prolonged by noting its use', async () => {
  const { owner } = await createSetting()
  await house.owner.query(
    `update auth.sessions set expires_at = now() - interval '1 second', last_used_at = now() - interval '1 hour' where id = $1`,
    [owner.sessionId],
  )
  const readSession = async () =>
    (await house.owner.query('select * from auth.sessions where id = $1', [owner.sessionId])).rows
  const before = await readSession()
  await client.query('begin')
  await client.query(`select set_config('app.credential', $1, true)`, [sessionCredential(owner)])
  await client.query('select app.touch_credential()')
  await client.query('commit')
  expect(await readSession()).toEqual(before)
})
