// Users with an authenticator app, for the tests of the second factor.

import { type Answer, type AuthFixture, type CallInput, PASSWORD, type SignedUp } from './fixture.ts'
import { totpCode, totpStep } from './totp.ts'

export interface Enrolled extends SignedUp {
  readonly secret: string
  readonly backupCodes: readonly string[]
  /** The app's code, now or this many seconds from now. */
  code(secondsFromNow?: number): string
}

/**
 * Switches the second factor on for a user, or for a new user with this address; no code is spent afterwards.
 */
export async function enrol(fixture: AuthFixture, who: string | SignedUp): Promise<Enrolled> {
  const user = typeof who === 'string' ? await fixture.signUp(who) : who
  const begun = await fixture.call('POST', '/two-factor/enable', {
    token: user.token,
    body: { password: PASSWORD },
  })
  if (begun.status !== 200) throw new Error(`enrolling failed with ${begun.status}: ${begun.text}`)
  const secret = secretOf(begun.body.totpURI)
  const code = (seconds = 0) => totpCode(secret, totpStep(Date.now() + seconds * 1_000))
  const done = await fixture.call('POST', '/two-factor/verify-totp', {
    token: user.token,
    body: { code: code() },
  })
  const token = done.headers.get('set-auth-token')
  if (done.status !== 200 || token === null) throw new Error(`enrolling failed: ${done.status} ${done.text}`)
  await forgetSteps(fixture, user.userId)
  const rawToken = token.slice(0, token.lastIndexOf('.'))
  return { ...user, token, rawToken, secret, backupCodes: begun.body.backupCodes, code }
}

/** Makes the current codes usable again, so that a test need not wait for the next step. */
export async function forgetSteps(fixture: AuthFixture, userId: string): Promise<void> {
  await fixture.owner.query('update auth.two_factors set last_used_step = 0 where user_id = $1', [userId])
}

/** Signs in with the password alone. */
export function givePassword(fixture: AuthFixture, email: string, input: CallInput = {}): Promise<Answer> {
  const body = { email, password: PASSWORD, ...(input.body as object) }
  return fixture.call('POST', '/sign-in/email', { ...input, body })
}

/** The second step of a sign-in, for a caller without cookies. */
export function giveCode(
  fixture: AuthFixture,
  challenge: Answer,
  input: { code: string; kind?: 'totp' | 'backup-code'; trustDevice?: boolean; auth?: CallInput['auth'] },
): Promise<Answer> {
  const { code, kind = 'totp', trustDevice, auth } = input
  return fixture.call('POST', `/two-factor/verify-${kind}`, {
    headers: { 'x-two-factor-token': challenge.headers.get('set-two-factor-token') ?? '' },
    body: { code, ...(trustDevice === undefined ? {} : { trustDevice }) },
    ...(auth ? { auth } : {}),
  })
}

/** The cookies that a browser would send back. */
export function cookiesOf(answer: Answer): string {
  return answer.headers
    .getSetCookie()
    .map(cookie => cookie.split(';')[0])
    .join('; ')
}

function secretOf(totpUri: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...(new URL(totpUri).searchParams.get('secret') ?? '')]
    .map(letter => alphabet.indexOf(letter).toString(2).padStart(5, '0'))
    .join('')
  const bytes = bits.match(/.{8}/g) ?? []
  return Buffer.from(bytes.map(byte => Number.parseInt(byte, 2))).toString('utf8')
}
