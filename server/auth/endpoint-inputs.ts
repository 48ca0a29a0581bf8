// The allowed inputs of each endpoint. Names, slugs, pictures and addresses follow the rules of the rooms,
// which write the same columns; all other fields follow the library's expectations, so that it receives no
// other type or size. Unlisted fields are dropped.

import { z } from 'zod'
import { name as organizationName, role, slug } from '#server/rooms/organizations/schema.ts'
import { email, imageUrl, jsonObject, label, text } from '#server/rpc/inputs.ts'
import type { ENDPOINTS } from './endpoints.ts'

export const MAX_NAME_LENGTH = 100
const MAX_METADATA_BYTES = 16 * 1024

const userName = label(MAX_NAME_LENGTH)

/** An id, a token or a code: looked up unchanged, and unknown if it is not one. */
const word = text(512)
const address = text(2_048)
const flag = z.boolean()
/** Limits the length before hashing; the library checks the rules for passwords. */
const password = text(1_024).min(1)
const metadata = jsonObject(MAX_METADATA_BYTES)
const logo = imageUrl.nullish()
const roles = z.union([role, z.tuple([role])])
const organizationId = word.optional()

const nothing = z.object({}).nullish()

const signInProvider = z.object({
  provider: text(64),
  callbackURL: address.optional(),
  errorCallbackURL: address.optional(),
  newUserCallbackURL: address.optional(),
  disableRedirect: flag.optional(),
  requestSignUp: flag.optional(),
  loginHint: text(320).optional(),
  scopes: z.array(text(200)).max(50).optional(),
  additionalData: jsonObject(4_096).optional(),
  additionalParams: z.record(text(64), address).optional(),
  idToken: z
    .object({
      token: text(16_384),
      nonce: word.optional(),
      accessToken: text(8_192).optional(),
      refreshToken: text(8_192).optional(),
      expiresAt: z.number().optional(),
    })
    .optional(),
})

type PostPath = Extract<(typeof ENDPOINTS)[number], { method: 'POST' }>['path']

export const BODIES = Object.freeze({
  '/sign-up/email': z.object({
    name: userName,
    email,
    password,
    image: imageUrl.optional(),
    callbackURL: address.optional(),
    rememberMe: flag.optional(),
  }),
  '/sign-in/email': z.object({
    email,
    password,
    callbackURL: address.optional(),
    rememberMe: flag.optional(),
  }),
  '/sign-in/social': signInProvider,
  '/link-social': signInProvider,
  '/sign-out': nothing,
  '/request-password-reset': z.object({ email, redirectTo: address.optional() }),
  '/reset-password': z.object({ newPassword: password, token: word.optional() }),
  '/send-verification-email': z.object({ email, callbackURL: address.optional() }),
  '/change-password': z.object({
    newPassword: password,
    currentPassword: password,
    revokeOtherSessions: flag.optional(),
  }),
  '/update-user': z
    .object({ name: userName.optional(), image: imageUrl.nullable().optional() })
    .refine(isChange, 'No fields to update'),
  '/unlink-account': z.object({ accountId: word }),
  '/two-factor/enable': z.object({
    password: password.optional(),
    issuer: label(MAX_NAME_LENGTH).optional(),
    method: z.literal('totp').optional(),
  }),
  '/two-factor/verify-totp': z.object({ code: word, trustDevice: flag.optional() }),
  '/two-factor/verify-backup-code': z.object({
    code: word,
    trustDevice: flag.optional(),
    disableSession: flag.optional(),
  }),
  '/two-factor/generate-backup-codes': z.object({ password: password.optional() }),
  '/two-factor/disable': z.object({ password: password.optional() }),
  '/organization/create': z.object({
    name: organizationName,
    slug,
    logo,
    metadata: metadata.optional(),
    keepCurrentActiveOrganization: flag.optional(),
  }),
  '/organization/check-slug': z.object({ slug }),
  '/organization/update': z.object({
    organizationId,
    data: z
      .object({
        name: organizationName.optional(),
        slug: slug.optional(),
        logo,
        metadata: metadata.optional(),
      })
      .refine(isChange, 'No fields to update'),
  }),
  '/organization/set-active': z.object({
    organizationId: word.nullish(),
    organizationSlug: word.optional(),
  }),
  '/organization/has-permission': z.object({
    organizationId,
    permissions: z.record(text(64), z.array(text(64)).max(50)).optional(),
    permission: z.record(text(64), z.array(text(64)).max(50)).optional(),
  }),
  '/organization/update-member-role': z.object({ memberId: word, role: roles, organizationId }),
  '/organization/remove-member': z.object({ memberIdOrEmail: z.union([email, word]), organizationId }),
  '/organization/leave': z.object({ organizationId: word }),
  '/organization/invite-member': z.object({ email, role: roles, organizationId, resend: flag.optional() }),
  '/organization/cancel-invitation': z.object({ invitationId: word }),
  '/organization/accept-invitation': z.object({ invitationId: word }),
  '/organization/reject-invitation': z.object({ invitationId: word }),
}) satisfies Readonly<Record<PostPath, z.ZodType>>

const count = z.string().regex(/^\d{1,4}$/, 'must be a whole number')
const member = z.enum(['id', 'userId', 'role', 'createdAt'])

/** Queries with rules beyond the length of a text. */
const QUERIES = Object.freeze({
  '/organization/get-full-organization': z.looseObject({ membersLimit: count.optional() }),
  '/organization/list-members': z
    .looseObject({
      limit: count.optional(),
      offset: count.optional(),
      sortBy: member.optional(),
      filterField: member.optional(),
      filterOperator: z
        .enum(['eq', 'ne', 'lt', 'lte', 'gt', 'gte', 'contains', 'starts_with', 'ends_with'])
        .optional(),
    })
    .refine(
      ({ filterField, filterOperator = 'eq' }) =>
        filterField === 'role' || !/^(contains|starts_with|ends_with)$/.test(filterOperator),
      'Only a role can be searched for its letters',
    ),
}) satisfies Readonly<Record<string, z.ZodType>>

const MAX_QUERY_VALUE_LENGTH = 4_096

/** Returns the body in the form that the endpoint accepts, or the problem. */
export function checkBody(path: string, body: unknown): { data: unknown } | { problem: Problem } {
  const schema: z.ZodType | undefined = Object.hasOwn(BODIES, path)
    ? BODIES[path as keyof typeof BODIES]
    : undefined
  if (!schema) throw new Error(`the body of ${path} has no schema`)
  const { success, data, error } = schema.safeParse(body)
  return success ? { data } : { problem: problemOf('body', error) }
}

/** Returns the problem of a query; null if it is valid. */
export function queryProblem(path: string, query: URLSearchParams): Problem | null {
  for (const [name, value] of query) {
    if (value.length > MAX_QUERY_VALUE_LENGTH) return invalid(`[query.${name.slice(0, 64)}] is too long`)
    if (query.getAll(name).length > 1) return invalid(`[query.${name.slice(0, 64)}] must be given once`)
  }
  if (!Object.hasOwn(QUERIES, path)) return null
  const { error } = QUERIES[path as keyof typeof QUERIES].safeParse(Object.fromEntries(query))
  return error ? problemOf('query', error) : null
}

export interface Problem {
  readonly code: string
  readonly message: string
}

function problemOf(where: string, error: z.ZodError): Problem {
  const [issue] = error.issues
  const path = [where, ...(issue?.path ?? [])].join('.')
  if (issue?.path[0] === 'email') return { code: 'INVALID_EMAIL', message: 'Invalid email' }
  return invalid(`[${path}] ${issue?.message ?? 'is not valid'}`)
}

function invalid(message: string): Problem {
  return { code: 'VALIDATION_ERROR', message }
}

function isChange(fields: object): boolean {
  return Object.values(fields).some(value => value !== undefined)
}
