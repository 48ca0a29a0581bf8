import { randomUUID } from 'node:crypto'
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { AppError } from '#server/rpc/errors.ts'
import { type Addresses, createAddresses } from './addresses.ts'
import { codeOf, throwDiskTrouble } from './disk-trouble.ts'
import type { FileStore } from './store.ts'

/** Of a key, which never is a path to anywhere else: what names it makes are checked where they are made, and here again. */
const KEY = /^(originals|thumbnails)\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\/(?!\.)[^/\\\p{Cc}]{1,200}$/u

const DRAFTS = 'incoming'
// An upload writes all the time, or is given up long before.
const DRAFT_MAX_IDLE_MS = 60 * 60_000

export interface DiskStore extends FileStore {
  readonly kind: 'disk'
  readonly addresses: Addresses
  /**
   * Puts an upload in its place, of which nobody sees anything before it is whole and on the disk. Throws `too_large` or
   * `invalid_input` where the body is not of the announced size, `illegal_transition` where another upload came first, and
   * `overloaded` where the disk is full; then nothing is left behind, and the body is open where it was not read to its end.
   */
  receive(body: Readable, file: { key: string; sizeBytes: number }): Promise<void>
  has(key: string): Promise<boolean>
  /** The caller closes the handle. Null where there is no such file. */
  open(key: string): Promise<FileHandle | null>
}

/** Keeps files in a directory, behind addresses of this server's. Creates the directory with the first file. */
export function openDiskStore(
  { directory }: { readonly directory: string },
  { appUrl, authSecret }: { readonly appUrl: string; readonly authSecret: string },
): DiskStore {
  const addresses = createAddresses(authSecret)
  const pathOf = (key: string): string => {
    if (!KEY.test(key)) throw new Error(`"${key}" is not a valid storage key`)
    return join(directory, key)
  }
  const openFile = (key: string) => open(pathOf(key), 'r').catch(whenMissing(null)).catch(throwDiskTrouble)

  async function withDraft(use: (draft: string) => Promise<void>): Promise<void> {
    const draft = join(directory, DRAFTS, randomUUID())
    try {
      await makeDirectory(join(directory, DRAFTS))
      await use(draft)
    } catch (error) {
      throwDiskTrouble(error)
    } finally {
      await rm(draft, { force: true }).catch(() => {})
    }
  }

  return {
    kind: 'disk',
    addresses,
    async createUploadAddress(grant) {
      const url = new URL(`/media/uploads/${addresses.signUpload(grant)}`, appUrl).href
      return { url, method: 'PUT', headers: { 'content-type': grant.mimeType } }
    },
    async createDownloadUrl(grant) {
      return new URL(`/media/files/${addresses.signDownload(grant)}`, appUrl).href
    },
    async receive(body, { key, sizeBytes }) {
      const path = pathOf(key)
      await withDraft(async draft => {
        await using file = await open(draft, 'wx', 0o600)
        // The body stays open where the file fails: its sender is still to be answered.
        await file.writeFile(exactly(body.iterator({ destroyOnReturn: false }), sizeBytes))
        await file.sync()
        await makeDirectory(dirname(path))
        // Unlike a rename, a link does not replace what is there: of two uploads the first one stays.
        await link(draft, path).catch(error => {
          throw codeOf(error) === 'EEXIST' ? alreadyThere(error) : error
        })
        await syncDirectory(dirname(path))
      })
    },
    has: key => stat(pathOf(key)).then(() => true, whenMissing(false)),
    open: openFile,
    sizeOf: (_identity, key) => stat(pathOf(key)).then(({ size }) => size, whenMissing(null)),
    async read(_identity, key, { start, end }) {
      await using file = await open(pathOf(key), 'r').catch(throwDiskTrouble)
      const bytes = Buffer.alloc(Math.max(0, Math.min(end, (await file.stat()).size) - start))
      const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
      return bytes.subarray(0, bytesRead)
    },
    async write(_identity, key, { bytes }) {
      const path = pathOf(key)
      await withDraft(async draft => {
        await using file = await open(draft, 'wx', 0o600)
        await file.writeFile(bytes)
        await file.sync()
        await makeDirectory(dirname(path))
        await rename(draft, path)
        await syncDirectory(dirname(path))
      })
    },
    async remove(key) {
      const path = pathOf(key)
      await rm(path, { force: true })
      // One that is not empty, or not there, stays as it is.
      await rmdir(dirname(path)).catch(() => {})
    },
    async removeDrafts() {
      const drafts = join(directory, DRAFTS)
      for (const name of await readdir(drafts).catch(whenMissing([]))) {
        const { mtimeMs } = await stat(join(drafts, name)).catch(whenMissing({ mtimeMs: Date.now() }))
        if (Date.now() - mtimeMs > DRAFT_MAX_IDLE_MS) await rm(join(drafts, name), { force: true })
      }
    },
  }
}

async function* exactly(chunks: AsyncIterable<Buffer>, sizeBytes: number): AsyncGenerator<Buffer> {
  let receivedBytes = 0
  for await (const chunk of chunks) {
    receivedBytes += chunk.length
    if (receivedBytes > sizeBytes)
      throw new AppError('too_large', `the file is larger than ${sizeBytes} bytes`)
    yield chunk
  }
  if (receivedBytes < sizeBytes) {
    throw new AppError('invalid_input', `the file ended after ${receivedBytes} of ${sizeBytes} bytes`)
  }
}

export function alreadyThere(cause?: unknown): AppError {
  return new AppError('illegal_transition', 'the file of this media item is already uploaded', { cause })
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
}

/** Makes the names in a directory as lasting as the files are. */
async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r')
  await directory.sync()
}

function whenMissing<T>(value: T): (error: unknown) => T {
  return error => {
    if (codeOf(error) === 'ENOENT') return value
    throw error
  }
}
