import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import {
  ask,
  beginUpload,
  callsInFlight,
  type MediaHouse,
  openMediaHouse,
  textFile,
} from '#server/testing/media.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'
import { throwDiskTrouble } from './disk-trouble.ts'

const MEBIBYTE = 1024 ** 2
/** The largest file that the server may write (8 or 16 MiB), and the size of the upload. */
const MAX_FILE_BLOCKS = 16 * 1024
const SIZE_BYTES = 24 * MEBIBYTE

let house: House
let ada: Actor
let directory: string
let server: ServerProcess

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  directory = await mkdtemp(join(tmpdir(), 'rowhouse-full-'))
  const { urls, ownerUrl } = house.database
  server = await startServerProcess({
    urls,
    directUrl: ownerUrl,
    environment: { DATA_DIR: directory },
    limits: { maxFileBlocks: MAX_FILE_BLOCKS },
  })
})
afterAll(async () => {
  await server.stop()
  await house.close()
  await rm(directory, { recursive: true, force: true })
})

/** Sends the body until the server stops reading; resolves with the response. */
async function send(uploadUrl: string, headers: Record<string, string>, sizeBytes: number) {
  const sent = request({
    port: server.port,
    path: new URL(uploadUrl).pathname,
    method: 'PUT',
    headers: { ...headers, 'content-length': sizeBytes },
  })
  const answered = once(sent, 'response')
  void (async () => {
    for (let sentBytes = 0; sentBytes < sizeBytes; sentBytes += MEBIBYTE) {
      if (!sent.write(Buffer.alloc(MEBIBYTE, 65))) await once(sent, 'drain')
    }
    sent.end()
  })().catch(() => {})
  const [response] = await answered
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode, body: JSON.parse(body) as { reason: string } }
}

it('a failed write ends the upload with an error, and leaves neither a file nor a used place', async () => {
  for (let round = 0; round < 3; round++) {
    const { uploadUrl, headers } = await beginUpload(ada, textFile(), { fileSizeBytes: SIZE_BYTES })
    expect(await send(uploadUrl, { ...headers }, SIZE_BYTES)).toMatchObject({
      status: 413,
      body: { reason: 'too_large' },
    })
  }
  expect(await readdir(join(directory, 'media', 'incoming'))).toEqual([])
  await expect.poll(() => callsInFlight(server)).toBe(0)
})

it('a failed write is answered even if the sender pauses in the middle of the body', async () => {
  const { uploadUrl, headers } = await beginUpload(ada, textFile(), { fileSizeBytes: SIZE_BYTES })
  const sent = request({
    port: server.port,
    path: new URL(uploadUrl).pathname,
    method: 'PUT',
    headers: { ...headers, 'content-length': SIZE_BYTES },
  })
  sent.on('error', () => {})
  sent.write(Buffer.alloc(SIZE_BYTES - MEBIBYTE, 65))
  const [response] = await once(sent, 'response')
  expect(response.statusCode).toBe(413)
  sent.destroy()
  await expect.poll(() => callsInFlight(server)).toBe(0)
})

it.for([
  ['ENOSPC', 'overloaded'],
  ['EDQUOT', 'overloaded'],
  ['EMFILE', 'overloaded'],
  ['EFBIG', 'too_large'],
])('the disk error %s becomes %s', ([code, reason]) => {
  const error = Object.assign(new Error('the disk'), { code })
  expect(() => throwDiskTrouble(error)).toThrow(expect.objectContaining({ reason, cause: error }))
})

it('a failure that only the operator can fix is rethrown', () => {
  const error = Object.assign(new Error('the disk'), { code: 'EIO' })
  expect(() => throwDiskTrouble(error)).toThrow(error)
})

it('an upload into a directory that is a file is an internal error', async () => {
  const broken: MediaHouse = await openMediaHouse()
  try {
    const actor = await createActor(broken, { name: 'Eve' })
    await mkdir(broken.directory, { recursive: true })
    await writeFile(join(broken.directory, 'incoming'), 'a file')
    const file = textFile()
    const { uploadUrl, headers } = await beginUpload(actor, file)
    const answer = await ask(broken, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.body.toString())).toMatchObject({ reason: 'internal' })
  } finally {
    await broken.close()
  }
})
