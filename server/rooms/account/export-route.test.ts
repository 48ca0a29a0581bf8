import { get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { addLogs, busyConnections, exportTokenOf, readLines, rowsIn } from './export-fixture.ts'
import { type ExportLimits, registerExportRoute } from './export-route.ts'
import { openExportToken, sealExportToken } from './export-token.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})

afterAll(() => house.close())

describe('GET /media/exports', () => {
  async function serve(limits: Partial<ExportLimits> = {}) {
    const app = fastify()
    registerExportRoute(app, house.services, limits)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    return {
      url: (token: string) => `http://127.0.0.1:${port}/media/exports/${token}`,
      close: () => app.close(),
    }
  }

  /** Starts a download without reading it. */
  function open(url: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      get(url, response => resolve(response.on('error', () => {}))).on('error', reject)
    })
  }

  it('returns an attachment of JSON lines', async () => {
    await using server = disposable(await serve())
    const ada = await createActor(house)
    await addLogs(ada, 700)
    const response = await fetch(server.url(await exportTokenOf(ada)))
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/x-ndjson; charset=utf-8',
      'content-disposition': 'attachment; filename="rowhouse-export.jsonl"',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
    const lines = readLines(await response.text())
    expect(rowsIn(lines, 'task_logs')).toHaveLength(700)
  })

  it('answers alike for an invalid token, an expired one and a revoked session', async () => {
    await using server = disposable(await serve())
    const ada = await createActor(house)
    const ended = await exportTokenOf(ada)
    const { credential } = openExportToken(ended, house.services.authSecret) ?? expect.fail('not a token')
    const expired = sealExportToken({ credential, expiresAt: Date.now() - 1 }, house.services.authSecret)
    await ada.caller().account.revokeSession({ id: ada.sessionId })

    const answers: unknown[] = []
    for (const token of [ended, expired, 'x'.repeat(ended.length)]) {
      const response = await fetch(server.url(token))
      const { date: _, ...headers } = Object.fromEntries(response.headers)
      const text = await response.text()
      answers.push({ status: response.status, headers, text: text.replace(token, '…') })
    }
    expect(answers[0]).toMatchObject({ status: 404 })
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
  })

  it('releases the connection when the reader leaves, and disconnects a stalled reader', async () => {
    await using server = disposable(await serve({ stallMs: 300 }))
    const ada = await createActor(house)
    await addLogs(ada, 2_000, 'x'.repeat(20_000))

    const leaving = await open(server.url(await exportTokenOf(ada)))
    await expect.poll(() => busyConnections(house)).toBe(1)
    leaving.destroy()
    await expect.poll(() => busyConnections(house), { timeout: 5_000 }).toBe(0)

    await open(server.url(await exportTokenOf(ada)))
    await expect.poll(() => busyConnections(house)).toBe(1)
    await expect.poll(() => busyConnections(house), { timeout: 5_000 }).toBe(0)
  })

  it('allows two downloads at once and rejects a third until later', async () => {
    await using server = disposable(await serve())
    const running: IncomingMessage[] = []
    for (let n = 0; n < 2; n++) {
      const reader = await createActor(house)
      await addLogs(reader, 2_000, 'x'.repeat(20_000))
      running.push(await open(server.url(await exportTokenOf(reader))))
    }
    await expect.poll(() => busyConnections(house)).toBe(2)
    const refused = await fetch(server.url(await exportTokenOf(await createActor(house))))
    expect(refused.ok).toBe(false)
    expect(await refused.text()).toContain('too many exports')
    for (const response of running) response.destroy()
    await expect.poll(async () => (await fetch(server.url('x'))).status, { timeout: 5_000 }).toBe(404)
  })

  it('allows one download at a time for each user', async () => {
    await using server = await serveHouse(house.services, {
      addRoutes: app => registerExportRoute(app, house.services),
    }).then(disposable)
    const url = (token: string) => `http://127.0.0.1:${server.port}/media/exports/${token}`
    const ada = await createActor(house)
    await addLogs(ada, 2_000, 'x'.repeat(20_000))
    const token = await exportTokenOf(ada)
    const running = await open(url(token))
    const refused = await fetch(url(token))
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(await refused.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS', reason: 'rate_limited' })
    running.destroy()
    const again = async () => {
      const response = await fetch(url(token))
      await response.body?.cancel()
      return response.status
    }
    await expect.poll(again).toBe(200)
  })
})

function disposable<T extends { close(): Promise<void> }>(resource: T): T & AsyncDisposable {
  return Object.assign(resource, { [Symbol.asyncDispose]: () => resource.close() })
}
