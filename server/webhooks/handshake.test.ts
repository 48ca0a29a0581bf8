import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { PROVIDERS } from '#server/rooms/connections/schema.ts'
import type { RunningServer } from '#server/start.ts'
import { type House, openHouse } from '#server/testing/actors.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { eventOf, newExternalId, type Sent, sign } from '#server/testing/webhooks.ts'
import { post, startWebhookServer } from './fixture.ts'

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

async function start(environment: Record<string, string>): Promise<RunningServer> {
  logged = ''
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logged += chunk
      done()
    },
  })
  server = await startWebhookServer(
    house,
    { DATA_DIR: dataDir, ...environment },
    pino({ level: 'debug' }, sink),
  )
  return server
}

/** Notion's first request, which is not signed yet. */
function handshake(token: string): Sent {
  return { body: JSON.stringify({ verification_token: token }), headers: {} }
}

describe('a provider whose webhooks are not configured', () => {
  it('receives an error that says so, whatever it sends', async () => {
    const running = await start({})
    for (const provider of PROVIDERS) {
      const event = eventOf(provider, newExternalId(provider))
      for (const sent of [event, { ...event, body: '{' }, handshake(TOKEN)]) {
        const { status, text } = await post(running, provider, sent)
        expect([status, JSON.parse(text).reason]).toEqual([412, 'provider_not_configured'])
      }
    }
    const { rows } = await house.owner.query('select from app.webhook_deliveries')
    expect(rows).toEqual([])
  })
})

describe('Notion’s verification token', () => {
  const app = { NOTION_CLIENT_ID: 'a client', NOTION_CLIENT_SECRET: 'a client secret' }

  it('is stored only for the operator, and in no log, while none is configured', async () => {
    const running = await start(app)
    expect(await post(running, 'notion', handshake('secret_an-earlier-token'))).toMatchObject({ status: 200 })
    expect(await post(running, 'notion', handshake(TOKEN))).toMatchObject({ status: 200, text: '' })
    const path = join(dataDir, 'notion-webhook-token')
    expect(await readFile(path, 'utf8')).toBe(TOKEN)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(logged).toContain(path)
    expect(logged).not.toContain(TOKEN)
  })

  it('does not make events valid before it is configured', async () => {
    const running = await start(app)
    await post(running, 'notion', handshake(TOKEN))
    const event = { id: 'e', type: 'page.created' }
    const signed = sign('notion', JSON.stringify(event), { secret: TOKEN })
    for (const sent of [
      signed,
      { ...signed, body: '{' },
      { ...signed, body: '[]' },
      sign('notion', JSON.stringify({ ...event, verification_token: TOKEN }), { secret: TOKEN }),
      handshake('short'),
      handshake('x'.repeat(201)),
    ]) {
      expect([400, 412]).toContain((await post(running, 'notion', sent)).status)
    }
  })

  it('is refused from strangers once one is configured', async () => {
    const running = await start({ ...app, NOTION_WEBHOOK_TOKEN: TOKEN })
    expect(await post(running, 'notion', handshake('secret_of-somebody-else'))).toMatchObject({ status: 401 })
    const again = sign('notion', handshake(TOKEN).body, { secret: TOKEN })
    expect(await post(running, 'notion', again)).toMatchObject({ status: 200 })
    await expect(readFile(join(dataDir, 'notion-webhook-token'))).rejects.toThrow('ENOENT')
  })
})
