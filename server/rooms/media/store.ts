import type { MediaConfig } from '#server/app/config/media.ts'
import type { Identity } from '#server/db/identity.ts'
import type { DownloadGrant, UploadGrant } from './addresses.ts'
import { type DiskStore, openDiskStore } from './disk-store.ts'
import { openS3Store, type S3Store } from './s3-store.ts'

/** How to upload a file: send it as the body of a request with this method, URL and headers. */
export interface UploadAddress {
  readonly url: string
  readonly method: 'PUT'
  readonly headers: Readonly<Record<string, string>>
}

/** Stores files under keys of three parts: kind, media id, file name. */
export interface FileStore {
  createUploadAddress(grant: UploadGrant): Promise<UploadAddress>
  createDownloadUrl(grant: DownloadGrant): Promise<string>
  /** Null if there is no such file. */
  sizeOf(identity: Identity, key: string): Promise<number | null>
  /** Reads the bytes from `start` to `end`, exclusive, or to the end of the file if that is earlier. */
  read(identity: Identity, key: string, range: { start: number; end: number }): Promise<Uint8Array>
  /** Writes a small file, replacing an existing one. */
  write(identity: Identity, key: string, file: { bytes: Uint8Array; mimeType: string }): Promise<void>
  /** Deletes a file that nothing refers to any more. Succeeds if there is none. */
  remove(key: string): Promise<void>
  /** Deletes what interrupted uploads left behind. */
  removeDrafts(): Promise<void>
}

export type MediaStore = DiskStore | S3Store

/** Creates the configured store. Does no I/O before the store's first use. */
export function openMediaStore(
  config: MediaConfig,
  site: { appUrl: string; authSecret: string },
): MediaStore {
  return config.kind === 's3' ? openS3Store(config) : openDiskStore(config, site)
}
