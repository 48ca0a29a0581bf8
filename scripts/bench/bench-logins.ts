import { Client } from 'pg'
import { withCredentials } from '#server/postgres/connection-url.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'

/** Logins that exist only in the benchmark's own cluster. */
export interface BenchLogins {
  /** Bypasses row-level security: the limit compares the owner in its statements. */
  readonly limit: string
  /** Subject to policies that compare a row's owner with a setting. */
  readonly usual: string
}

const PASSWORD = 'only-in-a-throwaway-cluster'

const PRIVILEGES = (login: string) => `
grant usage on schema app, auth to ${login};
grant select on auth.sessions, auth.users, auth.organizations, auth.members, app.settings to ${login};
grant select on app.content, app.media_items to ${login};
grant select, insert, update on app.tasks, app.task_logs, app.daily_usage to ${login};
grant execute on function app.new_id(), app.search_words, app.search_vector, app.search_query to ${login};`

const OWNED_TABLES = ['app.tasks', 'app.task_logs', 'app.daily_usage', 'app.settings']

const OWNER_POLICY = (table: string) => `
create policy all_bench_usual on ${table} for all to bench_usual
  using (user_id = (select nullif(current_setting('bench.user_id', true), '')::uuid))
  with check (user_id = (select nullif(current_setting('bench.user_id', true), '')::uuid));`

/** Creates the logins of the two other servers in a database that our server already uses. */
export async function createBenchLogins(ownerUrl: string): Promise<BenchLogins> {
  const owner = new Client(toPgConfig(ownerUrl))
  await owner.connect()
  try {
    for (const login of ['bench_limit', 'bench_usual']) {
      const { rowCount } = await owner.query('select from pg_roles where rolname = $1', [login])
      if (rowCount === 0) await owner.query(`create role ${login} login password '${PASSWORD}'`)
      await owner.query(
        `grant connect on database ${owner.escapeIdentifier(owner.database ?? '')} to ${login}`,
      )
      await owner.query(PRIVILEGES(login))
    }
    await owner.query('alter role bench_limit bypassrls')
    for (const table of ['auth.sessions', 'auth.users']) {
      await owner.query(`create policy select_bench_usual on ${table} for select to bench_usual using (true)`)
    }
    for (const table of OWNED_TABLES) await owner.query(OWNER_POLICY(table))
  } finally {
    await owner.end()
  }
  return {
    limit: withCredentials(ownerUrl, 'bench_limit', PASSWORD),
    usual: withCredentials(ownerUrl, 'bench_usual', PASSWORD),
  }
}
