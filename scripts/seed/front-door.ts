// Signs users up, in and out, and manages organizations, through the handler that serves /api/auth, so that
// the seed creates the same rows as a person would. Catches mails instead of sending them, and follows their
// links.

import type { Config } from '#server/app/config.ts'
import type { Mail } from '#server/app/mail.ts'
import type { Services } from '#server/app/services.ts'
import { type Auth, createAuth } from '#server/auth/auth.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import type { DemoUser } from './demo.ts'

/** A signed-in user. */
export interface Person extends DemoUser {
  readonly id: string
  /** The session's bearer token. */
  readonly token: string
  readonly isNew: boolean
}

export interface Organization {
  readonly id: string
  readonly name: string
  readonly slug: string
}

export interface FrontDoor {
  /** Signs the user in, or up if the user does not exist; confirms the mail address in both cases. */
  enter(user: DemoUser, password: string): Promise<Person>
  leave(person: Person): Promise<void>
  organizationsOf(person: Person): Promise<Organization[]>
  createOrganization(owner: Person, organization: Omit<Organization, 'id'>): Promise<Organization>
  /** Invites a user, who accepts. */
  addMember(owner: Person, member: Person, organizationId: string): Promise<void>
  close(): Promise<void>
}

const MAIL_PATIENCE_MS = 5_000

export function openFrontDoor(config: Config, services: Services): FrontDoor {
  const mails: Mail[] = []
  const { pools, log } = services
  const auth = createAuth({
    // `open`, since the operator runs this: no stranger can learn which addresses exist.
    config: { ...config, signUp: 'open' },
    pool: pools.auth,
    takeRateLimit: (key, limit, windowSeconds) => pools.system.takeRateLimit(key, limit, windowSeconds),
    takeTurn: (key, firstSeconds, longestSeconds) => pools.system.takeTurn(key, firstSeconds, longestSeconds),
    keyring: services.keyring,
    mailer: {
      send: async mail => {
        mails.push(mail)
        return true
      },
      close: async () => {},
    },
    log,
  })
  const call = caller(auth, config.appUrl)

  async function enter(user: DemoUser, password: string): Promise<Person> {
    const { email, name } = user
    const known = await call('POST', '/sign-in/email', { body: { email, password } })
    const answer =
      known.status === 401 ? await call('POST', '/sign-up/email', { body: { email, password, name } }) : known
    if (answer.status === 422) {
      throw new MigrationError('taken', `${email} exists with another password: remove that user first`)
    }
    const { id, emailVerified } = expectOk(answer, `${email} could not sign in`).user
    if (!answer.token) throw new Error(`the sign-in of ${email} returned no token`)
    const person = { email, name, id, token: answer.token, isNew: answer !== known }
    if (!emailVerified) await confirmAddress(person)
    return person
  }

  async function confirmAddress({ email, token }: Person): Promise<void> {
    expectOk(await call('POST', '/send-verification-email', { token, body: { email } }), 'no mail was sent')
    const link = new URL(await takeLink(email))
    const { status } = await call('GET', link.pathname.replace(/^\/api\/auth/, '') + link.search, {})
    if (status >= 400) throw new Error(`the link that confirms ${email} was refused (${status})`)
  }

  async function takeLink(email: string): Promise<string> {
    for (const deadline = Date.now() + MAIL_PATIENCE_MS; Date.now() < deadline; ) {
      const link = /https?:\S+\/verify-email\S+/.exec(mails.findLast(mail => mail.to === email)?.text ?? '')
      if (link) return link[0]
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    throw new Error(`no mail to ${email} was sent`)
  }

  return {
    enter,
    leave: async ({ token }) => {
      await call('POST', '/sign-out', { token, body: {} })
    },
    organizationsOf: async ({ token }) =>
      expectOk(await call('GET', '/organization/list', { token }), 'organizations could not be listed'),
    createOrganization: async ({ token }, { name, slug }) =>
      expectOk(
        await call('POST', '/organization/create', { token, body: { name, slug } }),
        `the organization "${slug}" could not be created`,
      ),
    addMember: async (owner, { email, token }, organizationId) => {
      const body = { email, role: 'member', organizationId }
      const invited = await call('POST', '/organization/invite-member', { token: owner.token, body })
      const { id: invitationId } = expectOk(invited, `${email} could not be invited`)
      expectOk(
        await call('POST', '/organization/accept-invitation', { token, body: { invitationId } }),
        `${email} could not accept`,
      )
    },
    close: () => auth.close(),
  }
}

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: the library answers in many shapes
  readonly body: any
  readonly token: string | null
}

function caller(auth: Auth, appUrl: string) {
  return async (
    method: 'GET' | 'POST',
    path: string,
    { token, body }: { token?: string; body?: object },
  ): Promise<Answer> => {
    const headers = {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    }
    const request = new Request(`${appUrl}/api/auth${path}`, { method, headers, body: JSON.stringify(body) })
    const response = await auth.handler(request, { ipAddress: '127.0.0.1' })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') ?? false
    return {
      status: response.status,
      body: isJson ? JSON.parse(text) : undefined,
      token: response.headers.get('set-auth-token'),
    }
  }
}

function expectOk({ status, body }: Answer, problem: string) {
  if (status < 300) return body
  throw new MigrationError('refused', `${problem}: ${body?.message ?? `status ${status}`}`)
}
