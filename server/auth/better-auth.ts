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
  /** Logged in as rowhouse_auth. It stays the caller's to end. */
  readonly pool: BoundedPool
  readonly hashing: Pick<PasswordHashing, 'hash' | 'verify'>
  readonly keyring: Keyring
  readonly mailer: Mailer
  readonly log: AuthLog
  /** Where the client's address is read from: a header that we overwrite on every request. */
  readonly addressHeader: string
  /** Where the port that the request came in at is read from, in the same way. */
  readonly portHeader: string
  /** Takes over what need not be waited for, such as a mail. */
  readonly runInBackground: (work: Promise<unknown>) => void
}

const BASE_PATH = '/api/auth'

const DAY_SECONDS = 24 * 60 * 60
const MAX_USER_AGENT_LENGTH = 500
/** Of somebody whose provider gives no name that can be shown. */
const NAMELESS = 'User'

/** Better Auth on its own Kysely, with its secrets concealed on the way to the database. */
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
    // Named as well, so that a stray variable of the library's own cannot put another secret in its place.
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
    // Counted in front of the library, by what a path does: see rate-limits.ts.
    rateLimit: { enabled: false },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH.min,
      maxPasswordLength: PASSWORD_LENGTH.max,
      password: { hash: setup.hashing.hash, verify: setup.hashing.verify },
      // One may sign in before the address is confirmed: a server without mail works from the first call on.
      // What hangs on the address itself, such as accepting an invitation, waits for the confirmation. With
      // SIGN_UP=private one confirms it first: a session would tell that the address had no account.
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
        // The link came by mail, so the mailbox is the user's.
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
        // Not waited for: how long a mail takes would tell that there is somebody to send it to.
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
      // app.touch_credential slides by the same figures.
      expiresIn: 7 * DAY_SECONDS,
      updateAge: DAY_SECONDS,
      // A copy in a cookie or a cache would outlive a revocation.
      cookieCache: { enabled: false },
      additionalFields: {
        slides: { type: 'boolean', required: false, input: false, returned: false },
        secondFactorAt: { type: 'date', required: false, input: false, returned: false },
      },
    },
    databaseHooks: {
      // Names and pictures from a provider are cut to the rules that callers follow, so that they never fail
      // a sign-in.
      user: {
        create: { before: async user => ({ data: presentable(user) }) },
        update: { before: async changes => ({ data: presentable(changes) }) },
      },
      session: {
        create: {
          before: async ({ userId, userAgent }, endpoint) => ({
            data: {
              // A header's bytes, each as a character.
              userAgent: userAgent ? toLabel(decodeHeader(userAgent) ?? '', MAX_USER_AGENT_LENGTH) : null,
              secondFactorAt: await passGate({
                userId,
                // In the transaction of whoever makes the session, which may have made the user as well.
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
    // Tokens are sealed by the adapter, so that they are bound to their row and move to a new key with
    // everything else.
    account: { modelName: 'accounts', encryptOAuthTokens: false },
    verification: {
      modelName: 'verifications',
      storeIdentifier: 'hashed',
      additionalFields: { userId: { type: 'string', required: false, input: false, returned: false } },
    },
    advanced: {
      useSecureCookies: appUrl.startsWith('https://'),
      // On in every environment; the library would switch them off under a test runner.
      disableCSRFCheck: false,
      disableOriginCheck: false,
      ipAddress: { ipAddressHeaders: [setup.addressHeader], ipv6Subnet: 128 },
      // Ids come from the columns' defaults; "uuid" tells the library what they look like.
      database: { generateId: 'uuid', validateSchema: false },
      backgroundTasks: { handler: setup.runInBackground },
    },
    plugins: [
      bearer({ requireSignature: true }),
      organization({
        // Deleting hides an organization and can be undone, which the library's way cannot.
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
          // Who signs in through a provider has no password to give; see second-factor.ts for what they give
          // instead.
          allowPasswordless: true,
          // Attempts are counted in front of the library, before a code is looked at.
          accountLockout: { enabled: false },
          schema: { twoFactor: { modelName: 'twoFactors' } },
        }),
        // It asks after a sign-in by password only, when the session is made already; the gate asks before,
        // whatever makes it.
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

/** An id that looks like one of app.new_id's. */
function uuidLikeOurs(): string {
  const random = randomUUID()
  const milliseconds = Date.now().toString(16).padStart(12, '0')
  return `${milliseconds.slice(0, 8)}-${milliseconds.slice(8)}-7${random.slice(15)}`
}
