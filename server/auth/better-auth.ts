import { randomUUID } from 'node:crypto'
import { getAdapter } from 'better-auth/db/adapter'
import { type BetterAuthOptions, betterAuth } from 'better-auth/minimal'
import { bearer } from 'better-auth/plugins/bearer'
import { organization } from 'better-auth/plugins/organization'
import { twoFactor } from 'better-auth/plugins/two-factor'
import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely'
import type { Mailer } from '#server/app/mail.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import { allowedOrigins } from '#server/http/origins.ts'
import { decodeHeader } from '#server/http/utf8.ts'
import { imageUrl, toEmail, toLabel } from '#server/rpc/inputs.ts'
import { createAccountTokens } from './account-tokens.ts'
import type { AuthConfig } from './auth-config.ts'
import type { BoundedPool } from './bounded-pool.ts'
import { requestTrouble } from './database-trouble.ts'
import { MAX_NAME_LENGTH } from './endpoint-inputs.ts'
import { fromLibraryEmail, toLibraryEmail } from './library-email.ts'
import { type AuthLog, describeError, libraryLogger } from './log.ts'
import { existingAccountMail, invitationMail, passwordResetMail, verificationMail } from './mails.ts'
import { PASSWORD_LENGTH, type PasswordHashing } from './password-hashing.ts'
import { factorOfRequest, passGate } from './second-factor-gate.ts'
import { createSecondFactorStore } from './second-factor-store.ts'
import { storeSecretsSafely } from './stored-secrets.ts'

export interface BetterAuthSetup {
  readonly config: AuthConfig
  /** Connections of rowhouse_auth. The caller must end the pool. */
  readonly pool: BoundedPool
  readonly hashing: Pick<PasswordHashing, 'hash' | 'verify'>
  readonly keyring: Keyring
  readonly mailer: Mailer
  readonly log: AuthLog
  /** The header with the client's address, which we overwrite in every request. */
  readonly addressHeader: string
  /** The header with the port that received the request, overwritten in the same way. */
  readonly portHeader: string
  /** Runs work that need not be awaited, such as sending a mail. */
  readonly runInBackground: (work: Promise<unknown>) => void
}

const BASE_PATH = '/api/auth'

const DAY_SECONDS = 24 * 60 * 60
const MAX_USER_AGENT_LENGTH = 500
/** The name of a user whose provider sends none that can be shown. */
const NAMELESS = 'User'

/** Better Auth with its own Kysely; an adapter conceals its secrets on the way to the database. */
export async function setUpBetterAuth(setup: BetterAuthSetup) {
  const options = betterAuthOptions(setup)
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: setup.pool }),
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  })
  const adapter = await getAdapter({
    ...options,
    database: { db, type: 'postgres', schemaName: 'auth', transaction: true },
  })
  const concealed = storeSecretsSafely(adapter, {
    secret: setup.config.authSecret,
    tokens: createAccountTokens(setup.keyring, setup.log),
  })
  return betterAuth<BetterAuthOptions>({ ...options, database: () => concealed })
}

function betterAuthOptions(setup: BetterAuthSetup) {
  const secondFactors = createSecondFactorStore(setup.pool)
  const { config, mailer, log } = setup
  const { github, google } = config.socialProviders
  const isPrivate = config.signUp === 'private'
  const appUrl = new URL(config.appUrl).origin
  return {
    appName: 'Rowhouse',
    baseURL: appUrl,
    basePath: BASE_PATH,
    secret: config.authSecret,
    // Set here too, so that the library's own environment variable cannot replace the secret.
    secrets: [{ version: 1, value: config.authSecret }],
    trustedOrigins: request =>
      allowedOrigins(config, Number(request?.headers.get(setup.portHeader)) || undefined),
    telemetry: { enabled: false },
    logger: libraryLogger(log),
    onAPIError: {
      errorURL: `${appUrl}${BASE_PATH}/error`,
      onError: error => {
        const status =
          typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : 500
        if (typeof status === 'number' && status < 500) return
        if (requestTrouble.getStore()?.signal?.aborted) return
        log.error({ error: describeError(error) }, 'signing in failed unexpectedly')
      },
    },
    // Requests are counted before the library, by endpoint: see rate-limits.ts.
    rateLimit: { enabled: false },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH.min,
      maxPasswordLength: PASSWORD_LENGTH.max,
      password: { hash: setup.hashing.hash, verify: setup.hashing.verify },
      // By default users may sign in before they confirm their address, so that a server without mail works
      // from the first call on. Rights that depend on the address, such as accepting an invitation, require
      // the confirmation. With SIGN_UP=private users must confirm first: otherwise a session would show that
      // the address had no account.
      requireEmailVerification: isPrivate,
      customSyntheticUser: ({ coreFields, additionalFields }) => ({
        ...coreFields,
        ...additionalFields,
        id: uuidLikeOurs(),
      }),
      onExistingUserSignUp: async ({ user }) => {
        await mailer.send(existingAccountMail(fromLibraryEmail(user.email), appUrl))
      },
      onPasswordReset: async ({ user }) => {
        const request = factorOfRequest.getStore()
        if (request) request.admittedUserId = user.id
        // The link came by mail, which proves that the mailbox is the user's.
        if (isPrivate) {
          await setup.pool.query('update auth.users set email_verified = true where id = $1', [user.id])
        }
      },
      revokeSessionsOnPasswordReset: true,
      resetPasswordTokenExpiresIn: 60 * 60,
      sendResetPassword: async ({ user, url }) => {
        const link = new URL(url)
        if (!link.searchParams.get('callbackURL'))
          link.searchParams.set('callbackURL', `${appUrl}/reset-password`)
        await mailer.send(passwordResetMail(fromLibraryEmail(user.email), link.href))
      },
    },
    emailVerification: {
      sendOnSignUp: true,
      expiresIn: 60 * 60,
      sendVerificationEmail: async ({ user, url }) => {
        // Not awaited: the duration of sending would show that the address has an account.
        setup.runInBackground(mailer.send(verificationMail(fromLibraryEmail(user.email), url)))
      },
    },
    socialProviders: {
      ...(github ? { github: { ...github, mapProfileToUser: emailOfProfile } } : {}),
      ...(google ? { google: { ...google, mapProfileToUser: emailOfProfile } } : {}),
    },
    user: { modelName: 'users' },
    session: {
      modelName: 'sessions',
      // app.touch_credential uses the same values.
      expiresIn: 7 * DAY_SECONDS,
      updateAge: DAY_SECONDS,
      // A cached session would outlive its revocation.
      cookieCache: { enabled: false },
      additionalFields: {
        slides: { type: 'boolean', required: false, input: false, returned: false },
        secondFactorAt: { type: 'date', required: false, input: false, returned: false },
      },
    },
    databaseHooks: {
      // Shortens a provider's names and pictures to the rules for callers, so that they never fail a sign-in.
      user: {
        create: { before: async user => ({ data: presentable(user) }) },
        update: { before: async changes => ({ data: presentable(changes) }) },
      },
      session: {
        create: {
          before: async ({ userId, userAgent }, endpoint) => ({
            data: {
              // A header's bytes, one character each.
              userAgent: userAgent ? toLabel(decodeHeader(userAgent) ?? '', MAX_USER_AGENT_LENGTH) : null,
              secondFactorAt: await passGate({
                userId,
                // Runs in the transaction that creates the session, which may also have created the user.
                hasFactor: async () => {
                  const user = await endpoint?.context.internalAdapter.findUserById(userId)
                  return user !== undefined && user !== null && Reflect.get(user, 'twoFactorEnabled') === true
                },
                store: secondFactors,
              }),
            },
          }),
        },
      },
    },
    // The adapter encrypts the tokens, so that they are bound to their row and key rotation includes them.
    account: { modelName: 'accounts', encryptOAuthTokens: false },
    verification: {
      modelName: 'verifications',
      storeIdentifier: 'hashed',
      additionalFields: { userId: { type: 'string', required: false, input: false, returned: false } },
    },
    advanced: {
      useSecureCookies: appUrl.startsWith('https://'),
      // On in every environment; the library would disable it under a test runner.
      disableCSRFCheck: false,
      disableOriginCheck: false,
      ipAddress: { ipAddressHeaders: [setup.addressHeader], ipv6Subnet: 128 },
      // Ids come from the columns' defaults; "uuid" tells the library their format.
      database: { generateId: 'uuid', validateSchema: false },
      backgroundTasks: { handler: setup.runInBackground },
    },
    plugins: [
      bearer({ requireSignature: true }),
      organization({
        // Our deletion hides an organization and can be undone; the library's cannot.
        disableOrganizationDeletion: true,
        requireEmailVerificationOnInvitation: true,
        cancelPendingInvitationsOnReInvite: true,
        schema: {
          organization: { modelName: 'organizations' },
          member: { modelName: 'members' },
          invitation: { modelName: 'invitations' },
        },
        sendInvitationEmail: async data => {
          const mail = invitationMail(fromLibraryEmail(data.email), {
            inviter: data.inviter.user.name,
            organization: data.organization.name,
            url: `${appUrl}/accept-invitation/${data.id}`,
          })
          setup.runInBackground(mailer.send(mail))
        },
      }),
      {
        ...twoFactor({
          issuer: 'Rowhouse',
          // A user who signs in through a provider has no password; second-factor.ts says what they need
          // instead.
          allowPasswordless: true,
          // Attempts are counted before the library checks a code.
          accountLockout: { enabled: false },
          schema: { twoFactor: { modelName: 'twoFactors' } },
        }),
        // The library asks only after a sign-in by password, once the session exists; our gate asks before,
        // for every kind of sign-in.
        hooks: {},
      },
    ],
  } satisfies BetterAuthOptions
}

function emailOfProfile({ email }: { email: string | null }) {
  return email ? { email: toLibraryEmail(toEmail(email)) } : {}
}

function presentable<T extends { name?: unknown; image?: unknown }>(user: T): T {
  const { name, image } = user
  return {
    ...user,
    ...(name === undefined ? {} : { name: toLabel(String(name ?? ''), MAX_NAME_LENGTH) ?? NAMELESS }),
    ...(image === undefined ? {} : { image: imageUrl.safeParse(image).success ? image : null }),
  }
}

/** An id in the format of app.new_id's. */
function uuidLikeOurs(): string {
  const random = randomUUID()
  const milliseconds = Date.now().toString(16).padStart(12, '0')
  return `${milliseconds.slice(0, 8)}-${milliseconds.slice(8)}-7${random.slice(15)}`
}
