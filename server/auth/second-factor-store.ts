// The second factor's own rows in the database, beside the library's, as rowhouse_auth.

import { createHash } from 'node:crypto'
import type { BoundedPool } from './bounded-pool.ts'
import { storedSessionToken } from './session-token.ts'

export interface SessionAndFactor {
  readonly userId: string
  readonly secondFactorAt: Date | null
  /** True if the session signed in within the last ten minutes. */
  readonly isFresh: boolean
  /** True if a code was given in or for this session within the last ten minutes. */
  readonly isFactorFresh: boolean
  readonly hasFactor: boolean
  readonly hasPassword: boolean
}

export interface SecondFactorStore {
  findSession(token: string): Promise<SessionAndFactor | null>
  /** Records that a code was given in a session. */
  refreshSession(token: string): Promise<void>
  /** The encrypted secret of a user's authenticator; null if there is none. */
  findSecret(userId: string): Promise<string | null>
  /**
   * Spends a step and all earlier ones; false if it was already spent. Of concurrent calls, only one
   * succeeds.
   */
  spendStep(userId: string, step: number): Promise<boolean>
  /** When the code was given for which the device is trusted; null if this user does not trust it. */
  findTrustedDevice(userId: string, deviceToken: string): Promise<Date | null>
  trustDevice(device: {
    userId: string
    deviceToken: string
    userAgent: string | null
    days: number
  }): Promise<void>
}

export function createSecondFactorStore(pool: BoundedPool): SecondFactorStore {
  return {
    findSession: async token => {
      const { rows } = await pool.query<SessionAndFactor>(
        `select
           s.user_id as "userId",
           s.second_factor_at as "secondFactorAt",
           s.created_at > now() - interval '10 minutes' as "isFresh",
           coalesce(s.second_factor_at > now() - interval '10 minutes', false) as "isFactorFresh",
           u.two_factor_enabled as "hasFactor",
           exists (select from auth.accounts a where a.user_id = u.id and a.password is not null) as "hasPassword"
         from auth.sessions s
         join auth.users u on u.id = s.user_id
         where s.token = $1 and s.expires_at > now()`,
        [storedSessionToken(token)],
      )
      return rows[0] ?? null
    },
    refreshSession: async token => {
      await pool.query('update auth.sessions set second_factor_at = now() where token = $1', [
        storedSessionToken(token),
      ])
    },
    findSecret: async userId => {
      const { rows } = await pool.query<{ secret: string }>(
        'select secret from auth.two_factors where user_id = $1',
        [userId],
      )
      return rows[0]?.secret ?? null
    },
    spendStep: async (userId, step) => {
      const { rowCount } = await pool.query(
        'update auth.two_factors set last_used_step = $2 where user_id = $1 and last_used_step < $2',
        [userId, step],
      )
      return rowCount === 1
    },
    findTrustedDevice: async (userId, deviceToken) => {
      const { rows } = await pool.query<{ secondFactorAt: Date }>(
        `select second_factor_at as "secondFactorAt" from auth.trusted_devices
         where user_id = $1 and token_hash = $2 and expires_at > now()`,
        [userId, hash(deviceToken)],
      )
      return rows[0]?.secondFactorAt ?? null
    },
    trustDevice: async ({ userId, deviceToken, userAgent, days }) => {
      await pool.query('delete from auth.trusted_devices where user_id = $1 and expires_at <= now()', [
        userId,
      ])
      await pool.query(
        `insert into auth.trusted_devices (user_id, token_hash, user_agent, expires_at)
         values ($1, $2, left($3, 500), now() + make_interval(days => $4))`,
        [userId, hash(deviceToken), userAgent, days],
      )
    },
  }
}

function hash(deviceToken: string): Buffer {
  return createHash('sha256').update(deviceToken, 'utf8').digest()
}
