import { z } from 'zod'
import { PLACE_VARIABLES, readConnectionDefaults } from '#server/postgres/connection-params.ts'
import {
  CONNECTION_URL_EXAMPLE,
  type ConnectionDefaults,
  ConnectionUrlError,
  formatConnectionUrl,
  insistOnTls,
  parseConnectionUrl,
  withoutTls,
} from '#server/postgres/connection-url.ts'
import { type ConfigReader, flag, wholeNumber } from './reader.ts'

type DatabaseMethod = 'LOCAL_PROXY' | 'NEON_BRANCH' | 'PRODUCTION'

export type DatabaseConfig =
  | { readonly kind: 'embedded' }
  | {
      readonly kind: 'external'
      /** What serving connections derive from, perhaps a pooler; null when each login has a URL of its own. */
      readonly url: string | null
      /** The owner's, past any pooler: for migrations and LISTEN; null for a process that may not migrate. */
      readonly directUrl: string | null
      readonly method: DatabaseMethod | null
    }

/** URLs that name a login's credentials, in place of the ones that derive from the database's URL. */
export interface LoginUrlOverrides {
  readonly api?: string
  readonly public?: string
  readonly auth?: string
  readonly system?: string
}

/** What several statements at once need: a transaction holds one connection, and what it waits for may take another. */
const MIN_POOL_SIZE = 2
const MAX_POOL_SIZE = 500

/** How many connections each of the pools of a process may have. */
export function readPoolSize(reader: ConfigReader): number {
  const size = reader.read('DATABASE_POOL_SIZE', {
    schema: wholeNumber(MIN_POOL_SIZE, MAX_POOL_SIZE),
    must: `a whole number from ${MIN_POOL_SIZE} to ${MAX_POOL_SIZE}`,
    example: '10',
  })
  return size ?? 10
}

const METHODS = ['LOCAL_PROXY', 'NEON_BRANCH', 'PRODUCTION'] as const

export function readDatabase(
  reader: ConfigReader,
  { isProduction }: { isProduction: boolean },
): { database: DatabaseConfig; loginUrls: LoginUrlOverrides } {
  const method = reader.read('DB_METHOD', {
    schema: z.enum(METHODS),
    must: 'LOCAL_PROXY, NEON_BRANCH or PRODUCTION',
    example: 'NEON_BRANCH',
  })
  const isEmbedded = reader.read('EMBEDDED_POSTGRES', flag)
  const { defaults, problems } = readConnectionDefaults(name => reader.text(name))
  const readUrl = (name: string) => readConnectionUrl(reader, name, { method, defaults })
  const urlName =
    method === 'LOCAL_PROXY'
      ? 'DATABASE_URL_LOCAL_PROXY'
      : reader.nameOf('DATABASE_URL', 'POSTGRES_URL', isSameUrl)
  const url = readUrl(urlName)
  const directUrl = readUrl('DIRECT_URL')
  const loginUrls = {
    api: readUrl('API_DATABASE_URL'),
    public: readUrl('PUBLIC_DATABASE_URL'),
    auth: readUrl('AUTH_DATABASE_URL'),
    system: readUrl('SYSTEM_DATABASE_URL'),
  }
  const loginNames = ['API', 'PUBLIC', 'AUTH', 'SYSTEM'].map(login => `${login}_DATABASE_URL`)
  const missing = loginNames.filter(name => reader.text(name) === undefined)
  const hasOwner = reader.text(urlName) !== undefined || reader.text('DIRECT_URL') !== undefined

  if (!hasOwner && missing.length === loginNames.length) {
    if (method) reader.refuse(urlName, `is missing, and DB_METHOD=${method} reads it`, CONNECTION_URL_EXAMPLE)
    else refuseUnmeantEmbedded(reader, { isProduction, isEmbedded })
    return { database: { kind: 'embedded' }, loginUrls }
  }
  for (const [variable, problem] of problems) reader.reject(variable, problem)
  if (isEmbedded) {
    const named = [urlName, 'DIRECT_URL', ...loginNames].find(name => reader.text(name) !== undefined)
    reader.reject('EMBEDDED_POSTGRES', `is true, and ${named} names another database: leave one of them out`)
  }
  if (!hasOwner) {
    for (const name of missing) {
      reader.refuse(
        name,
        `is missing; without ${urlName} each of the four logins needs a URL`,
        CONNECTION_URL_EXAMPLE,
      )
    }
  }
  const serving = url ?? directUrl ?? null
  const owner = directUrl ?? url ?? null
  return { database: { kind: 'external', url: serving, directUrl: owner, method: method ?? null }, loginUrls }
}

/** An embedded database is a new and empty one: it must not take the place of one that was meant. */
function refuseUnmeantEmbedded(
  reader: ConfigReader,
  { isProduction, isEmbedded }: { isProduction: boolean; isEmbedded: boolean | undefined },
): void {
  if (isEmbedded) return
  const place = PLACE_VARIABLES.find(name => reader.text(name) !== undefined)
  if (isEmbedded === false) {
    reader.refuse('DATABASE_URL', 'is missing, and EMBEDDED_POSTGRES is false', CONNECTION_URL_EXAMPLE)
  } else if (isProduction) {
    reader.refuse(
      'DATABASE_URL',
      'is missing, and production starts no embedded database unless EMBEDDED_POSTGRES=true asks for it',
      CONNECTION_URL_EXAMPLE,
    )
  } else if (place) {
    reader.refuse(
      'DATABASE_URL',
      `is missing, and ${place} names a database: write the whole URL, or EMBEDDED_POSTGRES=true for the embedded one`,
      CONNECTION_URL_EXAMPLE,
    )
  }
}

function isSameUrl(url: string, other: string): boolean {
  try {
    const [one, two] = [url, other].map(text => formatConnectionUrl(parseConnectionUrl(text)))
    return one === two
  } catch {
    return url === other
  }
}

function readConnectionUrl(
  reader: ConfigReader,
  name: string,
  { method, defaults }: { method: DatabaseMethod | undefined; defaults: ConnectionDefaults },
): string | undefined {
  const text = reader.text(name)
  if (text === undefined) return undefined
  try {
    if (method === 'LOCAL_PROXY') return withoutTls(text, defaults)
    if (method) return insistOnTls(text, defaults)
    return formatConnectionUrl(parseConnectionUrl(text, defaults))
  } catch (error) {
    if (!(error instanceof ConnectionUrlError)) throw error
    const example = method && method !== 'LOCAL_PROXY' ? '?sslmode=require' : ''
    reader.refuse(name, error.message, CONNECTION_URL_EXAMPLE + example)
    return undefined
  }
}
