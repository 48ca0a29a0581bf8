import { APIError } from 'better-auth/api'
import pg from 'pg'
import { isSerializationFailure } from '#server/db/errors.ts'
import { isUnavailable, requestTrouble } from './database-trouble.ts'

const BY_CONSTRAINT: Readonly<Record<string, readonly [400 | 409 | 422, string, string]>> = {
  users_email_key: [422, 'USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL', 'User already exists. Use another email.'],
  organizations_slug_key: [400, 'ORGANIZATION_ALREADY_EXISTS', 'Organization already exists'],
  members_organization_id_user_id_key: [
    400,
    'USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION',
    'User is already a member of this organization',
  ],
  members_last_owner_check: [
    400,
    'YOU_CANNOT_LEAVE_THE_ORGANIZATION_WITHOUT_AN_OWNER',
    'An organization keeps at least one owner',
  ],
  members_role_check: [400, 'ROLE_NOT_FOUND', 'Role not found'],
  invitations_role_check: [400, 'ROLE_NOT_FOUND', 'Role not found'],
  sessions_second_factor_check: [
    409,
    'two_factor_required',
    'The second factor was switched on in the meantime: sign in again',
  ],
  accounts_provider_id_account_id_key: [409, 'ACCOUNT_ALREADY_LINKED', 'Account is already linked'],
}

const STATUS = { 400: 'BAD_REQUEST', 409: 'CONFLICT', 422: 'UNPROCESSABLE_ENTITY' } as const

/**
 * Turns a refusal of the database into the library's own kind of error; returns any other error unchanged.
 */
export function translateDatabaseError(error: unknown): unknown {
  if (isUnavailable(error)) {
    const trouble = requestTrouble.getStore()
    if (trouble) trouble.isDatabaseUnavailable = true
    return APIError.from('SERVICE_UNAVAILABLE', {
      code: 'DATABASE_UNAVAILABLE',
      message: 'The database is not available',
    })
  }
  if (!(error instanceof pg.DatabaseError)) return error
  const known = BY_CONSTRAINT[error.constraint ?? '']
  if (known) {
    const [status, code, message] = known
    return APIError.from(STATUS[status], { code, message })
  }
  if (isSerializationFailure(error)) {
    return APIError.from('CONFLICT', {
      code: 'TRY_AGAIN',
      message: 'Another request was changing the same row: try again',
    })
  }
  if (error.code?.startsWith('22') || error.code === '23514') {
    return APIError.from('BAD_REQUEST', { code: 'INVALID_INPUT', message: 'A value is not valid' })
  }
  return error
}
