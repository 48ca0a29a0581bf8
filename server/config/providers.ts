import { createPrivateKey } from 'node:crypto'
import { z } from 'zod'
import { type ConfigReader, wholeNumber } from './reader.ts'

/** Where a provider is reached: its API, and the pages that a browser is sent to. No slash at the end. */
export interface ProviderAddresses {
  readonly apiUrl: string
  readonly webUrl: string
}

export interface OAuthApp extends ProviderAddresses {
  readonly clientId: string
  readonly clientSecret: string
}

export interface GitHubApp extends OAuthApp {
  readonly appId: string
  /** As in https://github.com/apps/<slug>. */
  readonly slug: string
  /** PEM. */
  readonly privateKey: string
}

/** The apps that the operator registered with each provider; null: that provider is off. */
export interface ProvidersConfig {
  readonly notion: OAuthApp | null
  readonly github: GitHubApp | null
  readonly slack: OAuthApp | null
  readonly linear: OAuthApp | null
}

/** What each provider signs its webhooks with; null: its webhooks are refused. */
export type WebhookSecrets = { readonly [K in keyof ProvidersConfig]: string | null }

const ADDRESSES = {
  NOTION: { apiUrl: 'https://api.notion.com', webUrl: 'https://api.notion.com' },
  GITHUB: { apiUrl: 'https://api.github.com', webUrl: 'https://github.com' },
  SLACK: { apiUrl: 'https://slack.com', webUrl: 'https://slack.com' },
  LINEAR: { apiUrl: 'https://api.linear.app', webUrl: 'https://linear.app' },
} as const satisfies Record<string, ProviderAddresses>

/** Every provider's addresses and none of their apps. */
export const NO_PROVIDERS: ProvidersConfig = { notion: null, github: null, slack: null, linear: null }
export const NO_WEBHOOK_SECRETS: WebhookSecrets = { notion: null, github: null, slack: null, linear: null }

export function readProviders(reader: ConfigReader): ProvidersConfig {
  return {
    notion: readOAuthApp(reader, 'NOTION'),
    github: readGitHubApp(reader),
    slack: readOAuthApp(reader, 'SLACK'),
    linear: readOAuthApp(reader, 'LINEAR'),
  }
}

export function readWebhookSecrets(reader: ConfigReader): WebhookSecrets {
  return {
    notion: readSecret(reader, 'NOTION_WEBHOOK_TOKEN'),
    github: readSecret(reader, 'GITHUB_APP_WEBHOOK_SECRET'),
    slack: readSecret(reader, 'SLACK_SIGNING_SECRET'),
    linear: readSecret(reader, 'LINEAR_WEBHOOK_SECRET'),
  }
}

function readOAuthApp(reader: ConfigReader, name: 'NOTION' | 'SLACK' | 'LINEAR'): OAuthApp | null {
  const addresses = readAddresses(reader, name)
  const pair = reader.readPair(`${name}_CLIENT_ID`, `${name}_CLIENT_SECRET`)
  return pair === undefined ? null : { clientId: pair[0], clientSecret: pair[1], ...addresses }
}

const GITHUB_EXAMPLES = {
  GITHUB_APP_ID: '123456',
  GITHUB_APP_SLUG: 'my-rowhouse',
  GITHUB_APP_CLIENT_ID: 'Iv23…',
  GITHUB_APP_CLIENT_SECRET: '…',
  GITHUB_APP_PRIVATE_KEY: '"-----BEGIN RSA PRIVATE KEY-----\\n…\\n-----END RSA PRIVATE KEY-----"',
} as const

function readGitHubApp(reader: ConfigReader): GitHubApp | null {
  const addresses = readAddresses(reader, 'GITHUB')
  const names = Object.keys(GITHUB_EXAMPLES) as (keyof typeof GITHUB_EXAMPLES)[]
  const given = names.filter(name => reader.text(name) !== undefined)
  if (given.length === 0) return null
  for (const name of names) {
    if (!given.includes(name))
      reader.refuse(name, `is missing, and ${given[0]} is set`, GITHUB_EXAMPLES[name])
  }
  const appId = reader.read('GITHUB_APP_ID', {
    schema: wholeNumber(1, 999_999_999_999).transform(String),
    must: "the app's number",
    example: GITHUB_EXAMPLES.GITHUB_APP_ID,
  })
  const slug = reader.read('GITHUB_APP_SLUG', {
    schema: z.string().regex(/^[a-z0-9][a-z0-9-]{0,98}$/i),
    must: "the app's name in its address, https://github.com/apps/<slug>",
    example: GITHUB_EXAMPLES.GITHUB_APP_SLUG,
  })
  const clientId = reader.text('GITHUB_APP_CLIENT_ID')
  const clientSecret = reader.text('GITHUB_APP_CLIENT_SECRET')
  const privateKey = reader.read('GITHUB_APP_PRIVATE_KEY', {
    schema: z
      .string()
      // One line in an .env file: line breaks are written as \n.
      .transform(text => text.replaceAll('\\n', '\n'))
      .refine(isPrivateKey),
    must: 'an RSA private key in PEM form, its line breaks perhaps written as \\n',
    example: GITHUB_EXAMPLES.GITHUB_APP_PRIVATE_KEY,
    isSecret: true,
  })
  if (!appId || !slug || !clientId || !clientSecret || !privateKey) return null
  return { appId, slug, clientId, clientSecret, privateKey, ...addresses }
}

/** A provider of one's own (GitHub Enterprise, a test's server) has its pages at the same origin as its API. */
function readAddresses(reader: ConfigReader, name: keyof typeof ADDRESSES): ProviderAddresses {
  const apiUrl = reader.read(`${name}_API_URL`, {
    schema: baseUrl,
    must: 'an http or https address without a query',
    example: ADDRESSES[name].apiUrl,
  })
  return apiUrl === undefined ? ADDRESSES[name] : { apiUrl, webUrl: new URL(apiUrl).origin }
}

const baseUrl = z.string().transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url && /^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username && !url.password)
    return url.href.replace(/\/+$/, '')
  context.addIssue({ code: 'custom', message: 'not an address' })
  return z.NEVER
})

function readSecret(reader: ConfigReader, name: string): string | null {
  return (
    reader.read(name, {
      schema: z.string().min(8),
      must: 'the secret as the provider shows it, of at least 8 characters',
      example: '…',
      isSecret: true,
    }) ?? null
  )
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa'
  } catch {
    return false
  }
}
