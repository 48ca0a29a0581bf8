import type { MediaConfig } from '#server/app/config/media.ts'
import type { Identity } from '#server/db/identity.ts'
import type { DownloadGrant, UploadGrant } from './addresses.ts'
import { type DiskStore, openDiskStore } from './disk-store.ts'
import { openS3Store, type S3Store } from './s3-store.ts'

/** How to send a file: a request of this method to this URL, with these headers and the file as its body. */
export interface UploadAddress {
  readonly url: string
  readonly method: 'PUT'
  readonly headers: Readonly<Record<string, string>>
}

/** Where files are kept, by keys of three parts: kind, media id, file name. */
export interface FileStore {
  createUploadAddress(grant: UploadGrant): Promise<UploadAddress>
  createDownloadUrl(grant: DownloadGrant): Promise<string>
  /** Null where there is no such file. */
  sizeOf(identity: Identity, key: string): Promise<number | null>
  /** Bytes from `start` up to `end`, which is not read any more, and no further than the file goes. */
  read(identity: Identity, key: string, range: { start: number; end: number }): Promise<Uint8Array>
  /** Writes a small file, whether there is one already or not. */
  write(identity: Identity, key: string, file: { bytes: Uint8Array; mimeType: string }): Promise<void>
  /** Removes a file that nothing owns any more; there need not be one. */
  remove(key: string): Promise<void>
  /** Removes what uploads that broke off left behind. */
  removeDrafts(): Promise<void>
}

export type MediaStore = DiskStore | S3Store

/** Makes the store that is configured. Asks nobody and creates nothing: its first use does. */
export function openMediaStore(
  config: MediaConfig,
  site: { appUrl: string; authSecret: string },
): MediaStore {
  return config.kind === 's3' ? openS3Store(config) : openDiskStore(config, site)
}
