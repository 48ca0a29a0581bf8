import { createSecret, genuinePrefix, storedSecret } from '#server/crypto/bearer-secrets.ts'

/** How much of a token is shown in lists. */
const SHOWN_CHARS = 10

export function createApiToken(): string {
  return createSecret('rht_')
}

export function isApiToken(text: string): boolean {
  return genuinePrefix(text) === 'rht_'
}

/** The part of a token that may be shown. */
export function shownPrefix(token: string): string {
  return token.slice(0, SHOWN_CHARS)
}

export const storedApiToken = storedSecret
