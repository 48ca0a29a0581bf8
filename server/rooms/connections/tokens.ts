import { open, type Place, seal, UnreadableValueError } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import { AppError } from '#server/rpc/errors.ts'
import type { HeldTokens, Tokens } from './provider.ts'

const TABLE = 'app.connections'

/** A row's tokens, sealed. */
export interface SealedTokens {
  readonly accessToken: string | null
  readonly refreshToken: string | null
  readonly expiresAt: Date | null
}

interface Row {
  readonly userId: string
  readonly id: string
}

export function sealTokens(keyring: Keyring, row: Row, tokens: Tokens): SealedTokens {
  const { accessToken, refreshToken, expiresAt } = tokens
  return {
    accessToken: accessToken === null ? null : seal(keyring, accessToken, placeOf(row, 'access_token')),
    refreshToken: refreshToken === null ? null : seal(keyring, refreshToken, placeOf(row, 'refresh_token')),
    expiresAt,
  }
}

/** Decrypts the tokens; throws `value_unreadable`. */
export function openTokens(keyring: Keyring, row: Row & SealedTokens): Tokens {
  const { accessToken, refreshToken, expiresAt } = row
  try {
    return {
      accessToken: accessToken === null ? null : open(keyring, accessToken, placeOf(row, 'access_token')),
      refreshToken: refreshToken === null ? null : open(keyring, refreshToken, placeOf(row, 'refresh_token')),
      expiresAt,
    }
  } catch (cause) {
    if (!(cause instanceof UnreadableValueError)) throw cause
    throw new AppError(
      'value_unreadable',
      `the tokens of connection "${row.id}" cannot be decrypted: connect the account again`,
      { cause },
    )
  }
}

/** Decrypts what `refresh` and `revoke` need; throws `value_unreadable`. */
export function heldTokens(
  keyring: Keyring,
  row: Row & SealedTokens & { readonly externalId: string },
): HeldTokens {
  return { ...openTokens(keyring, row), externalId: row.externalId }
}

export function isReadable(keyring: Keyring, row: Row & SealedTokens): boolean {
  try {
    openTokens(keyring, row)
    return true
  } catch (error) {
    if (error instanceof AppError) return false
    throw error
  }
}

function placeOf({ userId, id }: Row, column: string): Place {
  return { table: TABLE, column, ownerId: userId, rowId: id }
}
