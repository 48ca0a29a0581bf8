import { z } from 'zod'
import type { LoginUrls } from '#server/postgres/pools.ts'

/** Used only in tests. */
export const TEST_AUTH_SECRET = 'only-for-the-test-suite-0f7c1d9ab2e84635'
/** Used only in tests. */
export const TEST_ENCRYPTION_KEYS = 'test:5e0c41d7f2b893a6c8d1e94f07b25a6370f9c8e1d2b4a5968778695a4b3c2d1e'

const text = z
  .string()
  .trim()
  .transform(value => value || undefined)
  .optional()

const variables = z.object({
  TEST_DATABASE_URL: text,
  TEST_DIRECT_URL: text,
  TEST_OWNER: text.pipe(z.enum(['restricted', 'superuser']).default('restricted')),
  TEST_UPLOAD_MIB: text.pipe(z.string().default('256').transform(Number).pipe(z.int().min(1).max(5_120))),
})

/** The suite's server and owner. Without URLs the suite starts an embedded Postgres. */
export interface TestEnvironment {
  /** The logins' URL, perhaps a pooler's. */
  readonly databaseUrl: string | null
  /** A superuser's direct URL. */
  readonly directUrl: string | null
  /** Migrations run as a superuser, or as a role that may only create databases and roles. */
  readonly owner: 'restricted' | 'superuser'
  /** The size of the large upload. */
  readonly uploadMebibytes: number
}

export function readTestEnvironment(): TestEnvironment {
  // biome-ignore lint/style/noProcessEnv: these variables choose the suite's server and are in no config file
  const { TEST_DATABASE_URL, TEST_DIRECT_URL, TEST_OWNER, TEST_UPLOAD_MIB } = variables.parse(process.env)
  const directUrl = TEST_DIRECT_URL ?? TEST_DATABASE_URL ?? null
  return {
    databaseUrl: TEST_DATABASE_URL ?? directUrl,
    directUrl,
    owner: TEST_OWNER,
    uploadMebibytes: TEST_UPLOAD_MIB,
  }
}

/** The environment with which one of our processes logs in by these URLs. */
export function loginEnvironment({
  api,
  auth,
  public: published,
  system,
}: LoginUrls): Record<string, string> {
  return {
    API_DATABASE_URL: api,
    PUBLIC_DATABASE_URL: published,
    AUTH_DATABASE_URL: auth,
    SYSTEM_DATABASE_URL: system,
  }
}
