import { randomUUID } from 'node:crypto'
import { expect, vi } from 'vitest'
import type { CanaryHouse } from './canary-house.ts'

// Signing in with GitHub, whose tokens Better Auth keeps in auth.accounts.

export const SOCIAL = {
  environment: { GITHUB_CLIENT_ID: 'social-client', GITHUB_CLIENT_SECRET: `social-secret-${randomUUID()}` },
  secrets: {
    'the access token of an account': `gho_${randomUUID()}`,
    'the refresh token of an account': `ghr_${randomUUID()}`,
    'the client secret of sign-in': '',
  },
}
SOCIAL.secrets['the client secret of sign-in'] = SOCIAL.environment.GITHUB_CLIENT_SECRET

const ANSWERS: Readonly<Record<string, unknown>> = {
  'https://github.com/login/oauth/access_token': {
    access_token: SOCIAL.secrets['the access token of an account'],
    refresh_token: SOCIAL.secrets['the refresh token of an account'],
    token_type: 'bearer',
    scope: 'read:user,user:email',
  },
  'https://api.github.com/user': { id: 42, login: 'grace', name: 'Grace', email: 'grace@example.com' },
  'https://api.github.com/user/emails': [{ email: 'grace@example.com', primary: true, verified: true }],
}

/** Answers in GitHub's place; everything else goes where it went. */
export function planSocialSignIn(): void {
  const { fetch } = globalThis
  vi.stubGlobal('fetch', async (input: string | URL | Request, init?: RequestInit) => {
    const answer = ANSWERS[input instanceof Request ? input.url : String(input)]
    return answer === undefined ? fetch(input, init) : Response.json(answer)
  })
}

export async function signInSocially(house: CanaryHouse): Promise<void> {
  const body = { provider: 'github', callbackURL: '/welcome', disableRedirect: true }
  const started = await house.post('/api/auth/sign-in/social', body)
  const state = new URL(JSON.parse(started.text).url).searchParams.get('state') ?? ''
  const cookie = started.headers
    .getSetCookie()
    .map(value => value.split(';')[0])
    .join('; ')
  const path = `/api/auth/callback/github?code=c0de&state=${encodeURIComponent(state)}`
  const finished = await house.send(path, { headers: { cookie } })
  expect(finished.headers.get('set-auth-token')).not.toBeNull()
  const { rows } = await house.owner.query(
    'select access_token, refresh_token from auth.accounts where account_id = $1',
    ['42'],
  )
  expect(rows).toEqual([
    { access_token: expect.stringMatching(/^rh1\./), refresh_token: expect.stringMatching(/^rh1\./) },
  ])
}
