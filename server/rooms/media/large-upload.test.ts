import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { readTestEnvironment } from '#server/testing/environment.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'

// Starts the server in a process of its own and reads its memory from the operating system. With
// TEST_UPLOAD_MIB=1024 the test takes some ten seconds.

const MEBIBYTE = 1024 ** 2
const SIZE_BYTES = readTestEnvironment().uploadMebibytes * MEBIBYTE
/** Far less than the file's size; the process itself uses some 150 MiB. */
const MAX_GROWTH_BYTES = 128 * MEBIBYTE

let house: House
let directory: string
let server: ServerProcess

beforeAll(async () => {
  house = await openHouse()
  directory = await mkdtemp(join(tmpdir(), 'rowhouse-large-'))
  const { urls, ownerUrl } = house.database
  server = await startServerProcess({ urls, directUrl: ownerUrl, environment: { DATA_DIR: directory } })
})
afterAll(async () => {
  await server.stop()
  await house.close()
  await rm(directory, { recursive: true, force: true })
})

/** The process's current and peak memory. */
function memoryOf({ child: { pid } }: ServerProcess): { nowBytes: number; peakBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kibibytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024
  return { nowBytes: kibibytes('VmRSS'), peakBytes: kibibytes('VmHWM') }
}

async function call<T>(authorization: string, path: string, input: object, method = 'POST'): Promise<T> {
  const json = JSON.stringify({ json: input })
  const search = method === 'GET' ? `?input=${encodeURIComponent(json)}` : ''
  const response = await fetch(`http://127.0.0.1:${server.port}/trpc/${path}${search}`, {
    method,
    headers: { authorization, 'content-type': 'application/json' },
    ...(method === 'GET' ? {} : { body: json }),
  })
  const { result } = (await response.json()) as { result: { data: { json: T } } }
  return result.data.json
}

describe.runIf(process.platform === 'linux')('a large file', () => {
  it('can be uploaded and downloaded without being held in memory', { timeout: 120_000 }, async () => {
    const { authorization } = await createActor(house)
    const begun = await call<{ media: { id: string }; uploadUrl: string; headers: Record<string, string> }>(
      authorization,
      'media.createUpload',
      {
        title: 'a film',
        mediaType: 'video',
        mimeType: 'video/x-matroska',
        fileSizeBytes: SIZE_BYTES,
        fileName: `${randomUUID()}.mkv`,
      },
    )
    const before = memoryOf(server)

    const { pathname } = new URL(begun.uploadUrl)
    const sent = request({
      port: server.port,
      path: pathname,
      method: 'PUT',
      headers: { ...begun.headers, 'content-length': SIZE_BYTES },
    })
    const answered = once(sent, 'response')
    const chunk = Buffer.alloc(MEBIBYTE, 1)
    // The header of a Matroska file: EBML, version 1, type matroska; then a segment of unknown length.
    const head = Buffer.from('1a45dfa39f4286810142f7810142f2810442f381084282886d6174726f736b61', 'hex')
    head.copy(chunk)
    for (let sentBytes = 0; sentBytes < SIZE_BYTES; sentBytes += chunk.length) {
      if (!sent.write(sentBytes === 0 ? chunk : Buffer.alloc(MEBIBYTE, 1))) await once(sent, 'drain')
    }
    sent.end()
    const [response] = await answered
    response.resume()
    expect(response.statusCode).toBe(204)
    expect(memoryOf(server).peakBytes - before.nowBytes).toBeLessThan(MAX_GROWTH_BYTES)

    const { id } = begun.media
    const completed = await call<{ status: string; error: string | null }>(
      authorization,
      'media.completeUpload',
      { id },
    )
    expect(completed).toMatchObject({ status: 'ready', error: null })
    const [name = ''] = await readdir(join(directory, 'media', 'originals', id))
    expect((await stat(join(directory, 'media', 'originals', id, name))).size).toBe(SIZE_BYTES)

    const { url } = await call<{ url: string }>(authorization, 'media.downloadUrl', { id }, 'GET')
    const download = await fetch(`http://127.0.0.1:${server.port}${new URL(url).pathname}`)
    let receivedBytes = 0
    for await (const part of download.body ?? []) receivedBytes += part.length
    expect(receivedBytes).toBe(SIZE_BYTES)
    expect(memoryOf(server).peakBytes - before.nowBytes).toBeLessThan(MAX_GROWTH_BYTES)
  })
})
