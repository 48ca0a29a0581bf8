import { randomUUID } from 'node:crypto'
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { AppError } from '#server/rpc/errors.ts'
import { type Addresses, createAddresses } from './addresses.ts'
import { codeOf, throwDiskTrouble } from './disk-trouble.ts'
import type { FileStore } from './store.ts'

/**
 * Matches a storage key. A key must never name a path outside the directory: file names are sanitized when
 * created, and checked here again.
 */
const KEY = /^(originals|thumbnails)\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\/(?!\.)[^/\\\p{Cc}]{1,200}$/u

const DRAFTS = 'incoming'
// An upload that stalls is aborted long before this.
const DRAFT_MAX_IDLE_MS = 60 * 60_000

export interface DiskStore extends FileStore {
  readonly kind: 'disk'
  readonly addresses: Addresses
  /**
   * Stores an upload. The file becomes visible only when it is complete and synced to disk. Throws
   * `too_large` or `invalid_input` if the body's size is not `sizeBytes`, `illegal_transition` if another
   * upload came first, and `overloaded` if the disk is full. Then nothing is left on the disk; a body that
   * was not read to its end stays open.
   */
  receive(body: Readable, file: { key: string; sizeBytes: number }): Promise<void>
  has(key: string): Promise<boolean>
  /** Returns a handle that the caller must close; null if there is no such file. */
  open(key: string): Promise<FileHandle | null>
}

/**
 * Stores files in a directory, served through signed URLs of this server. Creates the directory with the
 * first file.
 */
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
        // The body stays open if the write fails, because its sender still gets an answer.
        await file.writeFile(exactly(body.iterator({ destroyOnReturn: false }), sizeBytes))
        await file.sync()
        await makeDirectory(dirname(path))
        // A link fails if the file exists, unlike a rename: of two uploads, the first one wins.
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
      // Fails if the directory is not empty or does not exist, which is fine.
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

/** Syncs the directory, so that the names of new files survive a crash. */
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
