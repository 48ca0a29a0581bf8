const PAGE_BYTES = 256 * 1024
const KEPT_PAGES = 8

export interface StoredFile {
  readonly sizeBytes: number
  readonly mimeType: string
  /** Reads the bytes from `start` to `end`, exclusive. */
  readonly read: (start: number, end: number) => Promise<Uint8Array>
}

/**
 * Passes a stored file to a parser as a Blob with random access. Returns undefined if the parser fails, which
 * is the file's fault; rethrows an error of the store.
 */
export async function readAsBlob<T>(
  file: StoredFile,
  maxPages: number,
  reader: (blob: Blob) => Promise<T>,
): Promise<T | undefined> {
  let failure: { readonly error: unknown } | undefined
  const read: StoredFile['read'] = (start, end) =>
    file.read(start, end).catch((error: unknown) => {
      failure = { error }
      throw error
    })
  try {
    return await reader(storedBlob({ ...file, read }, maxPages))
  } catch {
    if (failure) throw failure.error
    return undefined
  }
}

/** Caches pages, because parsers read a few bytes at a time. Throws after `maxPages` pages. */
function storedBlob({ sizeBytes, mimeType, read }: StoredFile, maxPages: number): Blob {
  const pages = new Map<number, Uint8Array>()
  let pagesLeft = maxPages

  async function pageAt(index: number): Promise<Uint8Array> {
    const kept = pages.get(index)
    if (kept) return kept
    if (--pagesLeft < 0) throw new Error('the reader requested more pages than the limit')
    const start = index * PAGE_BYTES
    const page = await read(start, Math.min(start + PAGE_BYTES, sizeBytes))
    const oldest = pages.size < KEPT_PAGES ? undefined : pages.keys().next().value
    if (oldest !== undefined) pages.delete(oldest)
    pages.set(index, page)
    return page
  }

  async function bytesOf(start: number, end: number): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(end - start)
    for (let position = start; position < end; ) {
      const index = Math.floor(position / PAGE_BYTES)
      const page = await pageAt(index)
      const part = page.subarray(position - index * PAGE_BYTES, end - index * PAGE_BYTES)
      if (part.length === 0) throw new Error('the file is shorter than its stored size')
      bytes.set(part, position - start)
      position += part.length
    }
    return bytes.buffer
  }

  // The parsers use only these members of a Blob.
  const blob = {
    size: sizeBytes,
    type: mimeType,
    slice: (start: number, end: number) => ({
      arrayBuffer: () => bytesOf(start, Math.max(start, Math.min(end, sizeBytes))),
    }),
  }
  return blob as unknown as Blob
}
