// Encrypts the tokens of sign-in providers on the way to the database, and decrypts them on the way back.

import { open, seal, UnreadableValueError } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import type { AuthLog } from './log.ts'

/** The column of each token, by the library's name for it. */
const COLUMNS = Object.freeze({
  accessToken: 'access_token',
  refreshToken: 'refresh_token',
  idToken: 'id_token',
})
const FIELDS = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]

export const ACCOUNTS_TABLE = 'auth.accounts'
export const TOKEN_COLUMNS: readonly string[] = Object.values(COLUMNS)

type Values = Record<string, unknown>

interface AccountRow {
  readonly id: string
  readonly userId: string
}

export interface AccountTokens {
  seal<T>(values: T, row: AccountRow): T
  /**
   * Decrypts the tokens of a row. One that does not decrypt is null, as if the provider had never sent it.
   */
  open(row: Values): Values
}

export function createAccountTokens(keyring: Keyring, log: AuthLog): AccountTokens {
  const placeOf = (field: keyof typeof COLUMNS, { id, userId }: AccountRow) => ({
    table: ACCOUNTS_TABLE,
    column: COLUMNS[field],
    ownerId: userId,
    rowId: id,
  })

  function openToken(envelope: string, field: keyof typeof COLUMNS, row: AccountRow): string | null {
    try {
      return open(keyring, envelope, placeOf(field, row))
    } catch (error) {
      if (!(error instanceof UnreadableValueError)) throw error
      log.warn({ userId: row.userId, accountId: row.id, kind: error.kind }, error.message)
      return null
    }
  }

  return {
    seal: (values, row) => {
      const sealed = { ...values } as Values
      for (const field of FIELDS) {
        const token = sealed[field]
        if (typeof token === 'string' && token !== '')
          sealed[field] = seal(keyring, token, placeOf(field, row))
      }
      return sealed as typeof values
    },
    open: row => {
      const { id, userId } = row
      const opened = { ...row }
      for (const field of FIELDS) {
        const envelope = opened[field]
        if (typeof envelope !== 'string') continue
        const isOpenable = typeof id === 'string' && typeof userId === 'string'
        opened[field] = isOpenable ? openToken(envelope, field, { id, userId }) : null
      }
      return opened
    },
  }
}

export function hasTokens(values: object | undefined): boolean {
  return FIELDS.some(field => Boolean((values as Values | undefined)?.[field]))
}
