import { z } from 'zod'
import type { LoginUrls } from '#server/postgres/pools.ts'

/** Signs nothing outside the tests. */
export const TEST_AUTH_SECRET = 'only-for-the-test-suite-0f7c1d9ab2e84635'
/** Seals nothing outside the tests. */
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

/** Where the suite runs and as whom. Without URLs it starts an embedded Postgres of its own. */
export interface TestEnvironment {
  /** What the logins connect through, perhaps a pooler. */
  readonly databaseUrl: string | null
  /** A superuser's, past any pooler. */
  readonly directUrl: string | null
  /** Whether migrations run as a superuser, or as a role that may only create databases and roles. */
  readonly owner: 'restricted' | 'superuser'
  /** How large a large upload is. */
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

/** What tells a process of ours to log in by these URLs. */
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
