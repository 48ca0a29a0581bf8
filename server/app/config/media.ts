import { join } from 'node:path'
import { z } from 'zod'
import { type ConfigReader, origin } from './reader.ts'

export interface S3Config {
  readonly kind: 's3'
  /** Null: Amazon's, of the region. */
  readonly endpoint: string | null
  readonly bucket: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Where uploaded files are kept. */
export type MediaConfig = { readonly kind: 'disk'; readonly directory: string } | S3Config

const REQUIRED = ['S3_BUCKET', 'S3_REGION', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const

/** A bucket where all of its variables are set, the data directory where none is. */
export function readMedia(reader: ConfigReader, dataDir: string): MediaConfig {
  const set = [...REQUIRED, 'S3_ENDPOINT'].filter(name => reader.text(name) !== undefined)
  const [first] = set
  const disk = { kind: 'disk', directory: join(dataDir, 'media') } as const
  if (first === undefined) return disk
  for (const name of REQUIRED) {
    if (!set.includes(name)) reader.refuse(name, `is missing, and ${first} is set`, '…')
  }
  const endpoint = reader.read('S3_ENDPOINT', {
    schema: origin,
    must: 'an http or https address without a path',
    example: 'https://minio.example.com:9000',
  })
  const bucket = reader.read('S3_BUCKET', {
    schema: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/),
    must: 'the name of a bucket',
    example: 'rowhouse-media',
  })
  const region = reader.read('S3_REGION', {
    schema: z.string().regex(/^[a-z0-9-]{1,50}$/),
    must: 'the name of a region (R2 takes auto)',
    example: 'eu-central-1',
  })
  const accessKeyId = reader.text('S3_ACCESS_KEY_ID')
  const secretAccessKey = reader.text('S3_SECRET_ACCESS_KEY')
  if (!bucket || !region || !accessKeyId || !secretAccessKey) return disk
  return { kind: 's3', endpoint: endpoint ?? null, bucket, region, accessKeyId, secretAccessKey }
}
