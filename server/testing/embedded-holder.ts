// A process of its own that runs an embedded Postgres until it is killed, for tests of what a crash leaves
// behind.
import { startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'

const [dataDir = ''] = process.argv.slice(2)
const server = await startEmbeddedPostgres({ dataDir, isDurable: false })
console.log(JSON.stringify({ url: server.url, serverPid: server.pid() }))
process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)))
