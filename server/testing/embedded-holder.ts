// A separate process that runs an embedded Postgres until it is killed, for tests of the state after a crash.
import { startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'

const [dataDir = ''] = process.argv.slice(2)
const server = await startEmbeddedPostgres({ dataDir, isDurable: false })
console.log(JSON.stringify({ url: server.url, serverPid: server.pid() }))
process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)))
