// Small, valid files of every kind, and how a client uploads one.

import { randomUUID } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import type { Services } from '#server/app/services.ts'
import { openDiskStore } from '#server/rooms/media/disk-store.ts'
import type { DownloadLimits } from '#server/rooms/media/download-route.ts'
import type { Inspections } from '#server/rooms/media/inspection/inspections.ts'
import { serveMedia } from '#server/rooms/media/serve.ts'
import type { UploadLimits } from '#server/rooms/media/upload-route.ts'
import { type Actor, type House, openHouse } from './actors.ts'
import { TEST_AUTH_SECRET } from './environment.ts'
import { serveHouse } from './http-house.ts'

const APP_URL = 'http://localhost:3000'

export interface MediaHouse extends House {
  readonly directory: string
  readonly port: number
  /** The keys of the store's files, including those of unfinished uploads. */
  files(): Promise<string[]>
  /** The number of the server's connections. */
  connections(): Promise<number>
}

/** A house with a server and its own directory for media. */
export async function openMediaHouse(
  limits: {
    upload?: Partial<UploadLimits>
    download?: Partial<DownloadLimits>
    requestMs?: number
    inspections?: Inspections
    /** Registers more routes. */
    addRoutes?: (app: FastifyInstance, services: Services) => void
  } = {},
): Promise<MediaHouse> {
  const directory = join(tmpdir(), `rowhouse-media-${randomUUID()}`)
  const media = openDiskStore({ directory }, { appUrl: APP_URL, authSecret: TEST_AUTH_SECRET })
  const { inspections } = limits
  const house = await openHouse({ media, ...(inspections ? { inspections } : {}) })
  const { requestMs = 60_000 } = limits
  const server = await serveHouse(house.services, {
    timeouts: { headersMs: Math.min(requestMs, 10_000), requestMs },
    addRoutes: app => {
      serveMedia(app, house.services, limits)
      limits.addRoutes?.(app, house.services)
    },
  })
  return {
    ...house,
    directory,
    port: server.port,
    files: async () => {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
      return entries
        .filter(entry => entry.isFile())
        .map(entry => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .sort()
    },
    connections: () =>
      new Promise((resolve, reject) => {
        server.app.fastify.server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
      }),
    async close() {
      await server.close()
      await house.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The metric of the calls that a server is working on. */
export async function callsInFlight({ port }: { readonly port: number }): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  return Number(/^rowhouse_calls_in_flight (-?\d+)$/m.exec(await response.text())?.[1] ?? Number.NaN)
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** Sends a request to a URL of the store, at the port of the test's server. */
export function ask(
  { port }: { readonly port: number },
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: Uint8Array } = {},
): Promise<Answer> {
  const { pathname, search } = new URL(url)
  const { method = 'GET', headers = {}, body } = options
  return new Promise((resolve, reject) => {
    const sent = request({ port, path: pathname + search, method, headers, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      )
    })
    sent.on('error', reject)
    if (body) sent.setHeader('content-length', headers['content-length'] ?? body.length)
    sent.end(body)
  })
}

export interface SampleFile {
  readonly mediaType: 'video' | 'audio' | 'image' | 'document'
  readonly mimeType: string
  readonly fileName: string
  readonly bytes: Uint8Array
}

/** Begins an upload of this file, or of another kind if the test says so. */
export function beginUpload(
  actor: Pick<Actor, 'caller'>,
  file: SampleFile,
  announced: { fileSizeBytes?: number } = {},
) {
  const { mediaType, mimeType, fileName, bytes } = file
  return actor.caller().media.createUpload({
    title: 'a title',
    mediaType,
    mimeType,
    fileName,
    fileSizeBytes: bytes.length,
    ...announced,
  })
}

/** Uploads a file and completes it. */
export async function upload(actor: Actor, house: MediaHouse, file: SampleFile) {
  const { media, uploadUrl, headers } = await beginUpload(actor, file)
  const answer = await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
  if (answer.status !== 204) throw new Error(`the upload was answered ${answer.status}: ${answer.body}`)
  return actor.caller().media.completeUpload({ id: media.id })
}

export async function pngFile(width = 800, height = 600): Promise<SampleFile> {
  const bytes = await sharp({ create: { width, height, channels: 3, background: '#c0ffee' } })
    .png()
    .toBuffer()
  return { mediaType: 'image', mimeType: 'image/png', fileName: 'a picture.png', bytes }
}

/** Silence: 8,000 samples a second, one byte each. */
export function wavFile(seconds = 2): SampleFile {
  const samples = Buffer.alloc(8_000 * seconds, 128)
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + samples.length, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(8_000, 24)
  head.writeUInt32LE(8_000, 28)
  head.writeUInt16LE(1, 32)
  head.writeUInt16LE(8, 34)
  head.write('data', 36)
  head.writeUInt32LE(samples.length, 40)
  const bytes = Buffer.concat([head, samples])
  return { mediaType: 'audio', mimeType: 'audio/wav', fileName: 'silence.wav', bytes }
}

export function textFile(text = 'Grüße\n'): SampleFile {
  return { mediaType: 'document', mimeType: 'text/plain', fileName: 'note.txt', bytes: Buffer.from(text) }
}

export function pdfFile(): SampleFile {
  const bytes = Buffer.from(
    '%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n',
  )
  return { mediaType: 'document', mimeType: 'application/pdf', fileName: 'paper.pdf', bytes }
}

/**
 * The description of a video of 320 × 240 and 5 seconds, without its pictures; its table of times has this
 * many entries.
 */
export function mp4File(times = 1): SampleFile {
  const entry = Buffer.alloc(78)
  entry.writeUInt16BE(1, 6)
  entry.writeUInt16BE(320, 24)
  entry.writeUInt16BE(240, 26)
  const table = box(
    'stbl',
    box('stsd', u32(0, 1), box('avc1', entry)),
    box('stts', u32(0, times), Buffer.alloc(times * 8, u32(1, 5_000))),
    box('stsc', u32(0, 1, 1, 1, 1)),
    box('stsz', u32(0, 0, 1, 8)),
    box('stco', u32(0, 1, 40)),
  )
  const handler = Buffer.concat([u32(0, 0), Buffer.from('vide'), u32(0, 0, 0), Buffer.from('\0')])
  const media = box(
    'mdia',
    box('mdhd', u32(0, 0, 0, 1_000, 5_000, 0)),
    box('hdlr', handler),
    box('minf', table),
  )
  const header = Buffer.concat([u32(0, 0, 0, 1_000, 5_000, 0x10000), Buffer.alloc(76)])
  const trackHeader = Buffer.concat([u32(3, 0, 0, 1, 0, 5_000), Buffer.alloc(60)])
  const bytes = Buffer.concat([
    box('ftyp', Buffer.from('isom'), u32(512), Buffer.from('isomiso2avc1mp41')),
    box('mdat', Buffer.alloc(8)),
    box('moov', box('mvhd', header), box('trak', box('tkhd', trackHeader), media)),
  ])
  return { mediaType: 'video', mimeType: 'video/mp4', fileName: 'film.mp4', bytes }
}

function box(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([u32(body.length + 8), Buffer.from(type), body])
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, index * 4)
  })
  return bytes
}
