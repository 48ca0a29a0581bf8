import { createPrivateKey } from 'node:crypto'
import { z } from 'zod'
import { type ConfigReader, wholeNumber } from '#server/app/config/reader.ts'
import { type OAuthApp, readAddresses } from '../app.ts'

export interface GitHubApp extends OAuthApp {
  readonly appId: string
  /** The slug in https://github.com/apps/<slug>. */
  readonly slug: string
  /** In PEM format. */
  readonly privateKey: string
}

const USUAL = { apiUrl: 'https://api.github.com', webUrl: 'https://github.com' }

const EXAMPLES = {
  GITHUB_APP_ID: '123456',
  GITHUB_APP_SLUG: 'my-rowhouse',
  GITHUB_APP_CLIENT_ID: 'Iv23…',
  GITHUB_APP_CLIENT_SECRET: '…',
  GITHUB_APP_PRIVATE_KEY: '"-----BEGIN RSA PRIVATE KEY-----\\n…\\n-----END RSA PRIVATE KEY-----"',
} as const

/** Reads the GitHub App, which needs all of its variables or none. */
export function readGitHubApp(reader: ConfigReader): GitHubApp | null {
  const addresses = readAddresses(reader, 'GITHUB', USUAL)
  const names = Object.keys(EXAMPLES) as (keyof typeof EXAMPLES)[]
  const given = names.filter(name => reader.text(name) !== undefined)
  if (given.length === 0) return null
  for (const name of names) {
    if (!given.includes(name)) reader.refuse(name, `is missing, and ${given[0]} is set`, EXAMPLES[name])
  }
  const appId = reader.read('GITHUB_APP_ID', {
    schema: wholeNumber(1, 999_999_999_999).transform(String),
    must: "the app's numeric id",
    example: EXAMPLES.GITHUB_APP_ID,
  })
  const slug = reader.read('GITHUB_APP_SLUG', {
    schema: z.string().regex(/^[a-z0-9][a-z0-9-]{0,98}$/i),
    must: "the slug in the app's URL, https://github.com/apps/<slug>",
    example: EXAMPLES.GITHUB_APP_SLUG,
  })
  const clientId = reader.text('GITHUB_APP_CLIENT_ID')
  const clientSecret = reader.text('GITHUB_APP_CLIENT_SECRET')
  const privateKey = reader.read('GITHUB_APP_PRIVATE_KEY', {
    schema: z
      .string()
      // An .env file holds the key in one line, with \
      //  for each line break.
      .transform(text => text.replaceAll('\\n', '\n'))
      .refine(isPrivateKey),
    must: 'an RSA private key in PEM format; line breaks may be written as \\n',
    example: EXAMPLES.GITHUB_APP_PRIVATE_KEY,
    isSecret: true,
  })
  if (!appId || !slug || !clientId || !clientSecret || !privateKey) return null
  return { appId, slug, clientId, clientSecret, privateKey, ...addresses }
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa'
  } catch {
    return false
  }
}
