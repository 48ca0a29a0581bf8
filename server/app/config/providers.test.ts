import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { NO_PROVIDERS, NO_WEBHOOK_SECRETS, readProviders, readWebhookSecrets } from './providers.ts'
import { ConfigError, ConfigReader, type Environment } from './reader.ts'

const PRIVATE_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString()
const GITHUB = {
  GITHUB_APP_ID: '123',
  GITHUB_APP_SLUG: 'my-app',
  GITHUB_APP_CLIENT_ID: 'Iv1.abc',
  GITHUB_APP_CLIENT_SECRET: 'a secret of GitHub’s',
  GITHUB_APP_PRIVATE_KEY: PRIVATE_KEY.trim().replaceAll('\n', '\\n'),
}

function read(env: Environment) {
  const reader = new ConfigReader(env)
  const result = { providers: readProviders(reader), secrets: readWebhookSecrets(reader) }
  reader.finish()
  return result
}

function problemsOf(env: Environment): readonly string[] {
  try {
    read(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('nothing is set up where nothing is set', () => {
  expect(read({})).toEqual({ providers: NO_PROVIDERS, secrets: NO_WEBHOOK_SECRETS })
})

describe('a provider that is set up', () => {
  test('is reached at its own addresses', () => {
    const { notion, slack, linear } = read({
      NOTION_CLIENT_ID: 'n',
      NOTION_CLIENT_SECRET: 'ns',
      SLACK_CLIENT_ID: 's',
      SLACK_CLIENT_SECRET: 'ss',
      LINEAR_CLIENT_ID: 'l',
      LINEAR_CLIENT_SECRET: 'ls',
    }).providers
    expect(notion).toEqual({
      clientId: 'n',
      clientSecret: 'ns',
      apiUrl: 'https://api.notion.com',
      webUrl: 'https://api.notion.com',
    })
    expect(slack).toMatchObject({ apiUrl: 'https://slack.com', webUrl: 'https://slack.com' })
    expect(linear).toMatchObject({ apiUrl: 'https://api.linear.app', webUrl: 'https://linear.app' })
  })

  test('or at another, with its pages at the same origin', () => {
    const { github } = read({ ...GITHUB, GITHUB_API_URL: 'https://github.example.com/api/v3/' }).providers
    expect(github).toMatchObject({
      appId: '123',
      slug: 'my-app',
      apiUrl: 'https://github.example.com/api/v3',
      webUrl: 'https://github.example.com',
    })
    expect(github?.privateKey).toBe(PRIVATE_KEY.trim())
  })
})

describe('what is wrong is said with the variable, the problem and an example:', () => {
  test.for(['NOTION', 'SLACK', 'LINEAR'])('half of %s', name => {
    expect(problemsOf({ [`${name}_CLIENT_ID`]: 'x' })).toEqual([
      `${name}_CLIENT_SECRET is missing, and ${name}_CLIENT_ID is set. Example: ${name}_CLIENT_SECRET=…`,
    ])
  })

  test.for(Object.keys(GITHUB))('a GitHub App without %s', missing => {
    const problems = problemsOf({ ...GITHUB, [missing]: undefined })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(
      new RegExp(`^${missing} is missing, and GITHUB_APP_\\w+ is set\\. Example: ${missing}=.`),
    )
  })

  test.for([
    ['GITHUB_APP_ID', 'twelve'],
    ['GITHUB_APP_SLUG', 'https://github.com/apps/my-app'],
    ['GITHUB_APP_PRIVATE_KEY', 'c3VwZXIgc2VjcmV0'],
    ['GITHUB_API_URL', 'github.example.com'],
    ['NOTION_API_URL', 'ftp://notion.example'],
    ['LINEAR_API_URL', 'https://ada:secret@linear.example'],
    ['SLACK_SIGNING_SECRET', 'short'],
  ] as const)('%s=%s', ([name, value]) => {
    const problems = problemsOf({ ...GITHUB, [name]: value })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(new RegExp(`^${name} must be .+\\. Example: ${name}=.`))
    if (/KEY|SECRET/.test(name)) expect(problems[0]).not.toContain(value)
  })
})
