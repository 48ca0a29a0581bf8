import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config.ts'
import { PROVIDERS } from '../connections/schema.ts'
import { type RunningServer, startServer } from '../start.ts'
import { type House, openHouse } from '../testing/actors.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '../testing/environment.ts'
import { throwawayDirectory } from '../testing/throwaway-directory.ts'
import { eventOf, newExternalId, sign } from '../testing/webhooks.ts'

const TOKEN = 'secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl'

let house: House
let server: RunningServer | undefined
let logged = ''
const dataDir = throwawayDirectory('handshake')

beforeAll(async () => {
  house = await openHouse()
})
afterEach(async () => {
  await server?.stop()
  server = undefined
  await rm(join(dataDir, 'notion-webhook-token'), { force: true })
})
afterAll(async () => {
  await house.close()
  await rm(dataDir, { recursive: true })
})

async function start(environment: Record<string, string>): Promise<string> {
  const { urls, ownerUrl } = house.database
  logged = ''
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logged += chunk
      done()
    },
  })
  const config = loadConfig({
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    APP_URL: 'http://localhost:3000',
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    DATABASE_URL: ownerUrl,
    API_DATABASE_URL: urls.api,
    PUBLIC_DATABASE_URL: urls.public,
    AUTH_DATABASE_URL: urls.auth,
    SYSTEM_DATABASE_URL: urls.system,
    MIGRATE_ON_START: 'false',
    ...environment,
  })
  server = await startServer(config, pino({ level: 'debug' }, sink))
  return server.url
}

async function post(url: string, provider: string, body: string, headers: object = {}) {
  const answer = await fetch(`${url}/webhooks/${provider}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  const text = await answer.text()
  return { status: answer.status, text }
}

const handshake = (token: string) => JSON.stringify({ verification_token: token })

describe('a provider whose webhooks are not configured', () => {
  it('is told so, whatever it sends', async () => {
    const url = await start({})
    for (const provider of PROVIDERS) {
      const { body, headers } = eventOf(provider, newExternalId(provider))
      for (const sent of [String(body), '{', handshake(TOKEN)]) {
        const { status, text } = await post(url, provider, sent, headers)
        expect([status, JSON.parse(text).reason]).toEqual([412, 'provider_not_configured'])
      }
    }
    const { rows } = await house.owner.query('select from app.webhook_deliveries')
    expect(rows).toEqual([])
  })
})

describe('Notion’s verification token', () => {
  const app = { NOTION_CLIENT_ID: 'a client', NOTION_CLIENT_SECRET: 'a client secret' }

  it('is kept for the operator alone, in no log, while there is none', async () => {
    const url = await start({ ...app, DATA_DIR: dataDir })
    expect(await post(url, 'notion', handshake('secret_an-earlier-token'))).toMatchObject({ status: 200 })
    expect(await post(url, 'notion', handshake(TOKEN))).toMatchObject({ status: 200, text: '' })
    const path = join(dataDir, 'notion-webhook-token')
    expect(await readFile(path, 'utf8')).toBe(TOKEN)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(logged).toContain(path)
    expect(logged).not.toContain(TOKEN)
  })

  it('makes no event believable before it is configured', async () => {
    const url = await start({ ...app, DATA_DIR: dataDir })
    await post(url, 'notion', handshake(TOKEN))
    const { body, headers } = sign('notion', JSON.stringify({ id: 'e', type: 'page.created' }), {
      secret: TOKEN,
    })
    for (const sent of [String(body), '{', '[]', handshake('short'), handshake('x'.repeat(201))]) {
      expect((await post(url, 'notion', sent, headers)).status).toBeGreaterThanOrEqual(400)
    }
    const odd = JSON.stringify({ verification_token: TOKEN, id: 'e', type: 'page.created' })
    expect(await post(url, 'notion', odd, headers)).toMatchObject({ status: 412 })
  })

  it('is not taken from just anyone once there is one', async () => {
    const url = await start({ ...app, DATA_DIR: dataDir, NOTION_WEBHOOK_TOKEN: TOKEN })
    expect(await post(url, 'notion', handshake('secret_of-somebody-else'))).toMatchObject({ status: 401 })
    const again = sign('notion', handshake(TOKEN), { secret: TOKEN })
    expect(await post(url, 'notion', String(again.body), again.headers)).toMatchObject({ status: 200 })
    await expect(readFile(join(dataDir, 'notion-webhook-token'))).rejects.toThrow('ENOENT')
  })
})
