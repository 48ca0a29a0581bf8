import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { type Handler, serveHttp, streamableTools } from '#server/testing/mcp/http-server.ts'
import { TOOLS } from '#server/testing/mcp/tools.ts'

const REAL = fileURLToPath(new URL('../../testing/mcp/stdio-server.ts', import.meta.url))
const HOSTILE = fileURLToPath(new URL('../../testing/mcp/hostile-stdio.ts', import.meta.url))
const SECRET = 'check-canary-0c9d41aa'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse({ connectors: { allowLocal: true, allowPrivate: true } })
  ada = await createActor(house, { name: 'Ada' })
})

afterAll(() => house.close())

/** The whole row, as a database dump shows it. */
async function dumpOf(id: string): Promise<string> {
  const { rows } = await house.owner.query('select c::text as text from app.connectors c where id = $1', [id])
  return rows[0].text
}

const tools = streamableTools()
let isOpen = true

const guarded: Handler = (request, response, origin) =>
  isOpen && request.headers.authorization === `Bearer ${SECRET}`
    ? tools(request, response, origin)
    : void response.writeHead(401).end()

describe('a check of a real server', () => {
  test('over HTTP stores its tools, and keeps them while the server is down', async () => {
    const { connectors } = ada.caller()
    await using server = await serveHttp(guarded)
    const headers = { authorization: `Bearer ${SECRET}` }
    const { id } = await connectors.create({ kind: 'remote', name: 'Wiki', url: server.url, headers })
    expect(await connectors.test({ id })).toEqual({ status: 'connected', tools: TOOLS })
    expect(await connectors.get({ id })).toMatchObject({ status: 'connected', tools: TOOLS, lastError: null })

    isOpen = false
    const error = 'the server answered HTTP 401 (Unauthorized)'
    expect(await connectors.test({ id })).toEqual({ status: 'disconnected', tools: [], error })
    expect(await connectors.get({ id })).toMatchObject({
      status: 'disconnected',
      lastError: error,
      tools: TOOLS,
    })
  })

  test('over standard streams stores its tools', async () => {
    const { connectors } = ada.caller()
    const { id } = await connectors.create({
      kind: 'local',
      name: 'Files',
      command: process.execPath,
      args: [REAL],
    })
    expect(await connectors.test({ id })).toEqual({ status: 'connected', tools: TOOLS })
    expect(await connectors.get({ id })).toMatchObject({ status: 'connected', tools: TOOLS })
  })

  test('that repeats its secrets leaves none in the answer or the row', async () => {
    const { connectors } = ada.caller()
    const command = { command: process.execPath, args: [HOSTILE, 'mirror'], env: { TOKEN: SECRET } }
    const { id } = await connectors.create({ kind: 'local', name: 'Mirror', ...command })
    const answer = await connectors.test({ id })
    expect(answer.status).toBe('connected')
    expect(JSON.stringify([answer, await connectors.get({ id })])).not.toContain(SECRET)
    expect(await dumpOf(id)).toContain('mirror')
    expect(await dumpOf(id)).not.toContain(SECRET)
  })

  test('of another user is not found, and gets no request', async () => {
    await using server = await serveHttp(guarded)
    const { id } = await ada.caller().connectors.create({ kind: 'remote', name: 'Wiki', url: server.url })
    const bob = await createActor(house, { name: 'Bob' })
    await expect(bob.caller().connectors.test({ id })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(server.requests).toEqual([])
  })
})

test('stores nothing of a list that is too large', async () => {
  const { connectors } = ada.caller()
  const command = { command: process.execPath, args: [HOSTILE, 'huge-list'] }
  const { id } = await connectors.create({ kind: 'local', name: 'Files', ...command })
  const error = "the server's tool list is larger than 512 KiB"
  expect(await connectors.test({ id })).toEqual({ status: 'disconnected', tools: [], error })
  expect(await connectors.get({ id })).toMatchObject({ status: 'disconnected', lastError: error, tools: [] })
})
