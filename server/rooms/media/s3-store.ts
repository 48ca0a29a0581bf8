import type { S3Client } from '@aws-sdk/client-s3'
import type { S3Config } from '#server/app/config/media.ts'
import { AppError } from '#server/rpc/errors.ts'
import { contentDisposition } from './content-disposition.ts'
import type { FileStore } from './store.ts'

const CONNECT_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 30_000
const MAX_ATTEMPTS = 3

export interface S3Store extends FileStore {
  readonly kind: 's3'
}

/** Stores files in a bucket, served through the bucket's signed URLs. Loads the SDK on first use. */
export function openS3Store(config: S3Config): S3Store {
  const Bucket = config.bucket
  let loading: ReturnType<typeof load> | undefined
  const sdk = () => (loading ??= load(config))

  /** Calls the bucket. Throws `provider_unreachable` if the bucket does not answer or refuses. */
  async function ask<T>(call: (s3: Awaited<ReturnType<typeof load>>) => Promise<T>): Promise<T> {
    try {
      return await call(await sdk())
    } catch (error) {
      if (error instanceof AppError) throw error
      throw new AppError(
        'provider_unreachable',
        'the media store is unreachable or returned an error: try again later',
        {
          cause: error,
        },
      )
    }
  }

  return {
    kind: 's3',
    async createUploadAddress({ key, sizeBytes, mimeType, expiresAt }) {
      const { commands, client, getSignedUrl } = await sdk()
      const command = new commands.PutObjectCommand({
        Bucket,
        Key: key,
        ContentLength: sizeBytes,
        ContentType: mimeType,
        // The URL works once, so an inspected file cannot be replaced.
        IfNoneMatch: '*',
      })
      const url = await getSignedUrl(client, command, {
        expiresIn: secondsUntil(expiresAt),
        signableHeaders: new Set(['host', 'content-length', 'content-type', 'if-none-match']),
      })
      return { url, method: 'PUT', headers: { 'content-type': mimeType, 'if-none-match': '*' } }
    },
    async createDownloadUrl(grant) {
      const { commands, client, getSignedUrl } = await sdk()
      const command = new commands.GetObjectCommand({
        Bucket,
        Key: grant.key,
        ResponseContentType: grant.mimeType,
        ResponseContentDisposition: contentDisposition(grant),
        ResponseCacheControl: 'private, no-store',
      })
      return getSignedUrl(client, command, { expiresIn: secondsUntil(grant.expiresAt) })
    },
    sizeOf: (_identity, Key) =>
      ask(async ({ commands, client }) => {
        try {
          const head = await client.send(new commands.HeadObjectCommand({ Bucket, Key }))
          return head.ContentLength ?? null
        } catch (error) {
          if (isMissing(error)) return null
          throw error
        }
      }),
    read: (_identity, Key, { start, end }) =>
      ask(async ({ commands, client }) => {
        if (end <= start) return new Uint8Array()
        const Range = `bytes=${start}-${end - 1}`
        const { Body, ContentLength = 0 } = await client.send(
          new commands.GetObjectCommand({ Bucket, Key, Range }),
        )
        // A bucket that ignores the range would send the whole file.
        if (ContentLength > end - start) throw new Error('the media store ignored the requested range')
        return (await Body?.transformToByteArray()) ?? new Uint8Array()
      }),
    write: (_identity, Key, { bytes, mimeType }) =>
      ask(async ({ commands, client }) => {
        await client.send(new commands.PutObjectCommand({ Bucket, Key, Body: bytes, ContentType: mimeType }))
      }),
    remove: Key =>
      ask(async ({ commands, client }) => {
        await client.send(new commands.DeleteObjectCommand({ Bucket, Key }))
      }),
    // An interrupted upload leaves nothing in a bucket.
    removeDrafts: async () => {},
  }
}

async function load(config: S3Config) {
  const [commands, { getSignedUrl }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@aws-sdk/s3-request-presigner'),
  ])
  const client: S3Client = new commands.S3Client({
    region: config.region,
    credentials: { accessKeyId: config.accessKeyId, secretAccessKey: config.secretAccessKey },
    // MinIO, R2 and similar stores serve all buckets from one host.
    ...(config.endpoint === null ? {} : { endpoint: config.endpoint, forcePathStyle: true }),
    // By default the SDK would sign the checksum of an empty body into upload URLs.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  })
  return { commands, client, getSignedUrl }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error.name === 'NotFound' || error.name === 'NoSuchKey')
}

function secondsUntil(time: number): number {
  return Math.max(1, Math.round((time - Date.now()) / 1_000))
}
