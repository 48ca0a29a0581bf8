import { createSecret, genuinePrefix, storedSecret } from '#server/crypto/bearer-secrets.ts'

/** How many characters of a token lists show. */
const SHOWN_CHARS = 10

export function createApiToken(): string {
  return createSecret('rht_')
}

export function isApiToken(text: string): boolean {
  return genuinePrefix(text) === 'rht_'
}

export function shownPrefix(token: string): string {
  return token.slice(0, SHOWN_CHARS)
}

export const storedApiToken = storedSecret
