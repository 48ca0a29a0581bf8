// The signed URLs of the disk store. A URL contains a signed grant: what it allows, and until when. The
// bearer needs no session, so a grant allows one thing only: to upload one file of this size and type to one
// key, or to download one file.

import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

const PURPOSE = 'rowhouse media address'
const MAX_TOKEN = 4_096

const upload = z.strictObject({
  kind: z.literal('upload'),
  userId: z.string(),
  mediaId: z.string(),
  key: z.string(),
  sizeBytes: z.int(),
  mimeType: z.string(),
  /** Milliseconds since 1970. */
  expiresAt: z.int(),
})

const download = z.strictObject({
  kind: z.literal('download'),
  key: z.string(),
  mimeType: z.string(),
  fileName: z.string(),
  expiresAt: z.int(),
})

const grants = { upload, download }
type Kind = keyof typeof grants
type GrantOf<K extends Kind> = z.output<(typeof grants)[K]>

export type UploadGrant = Omit<GrantOf<'upload'>, 'kind'>
export type DownloadGrant = Omit<GrantOf<'download'>, 'kind'>

/** Signs and verifies grants, with a key derived from the secret for this purpose only. */
export function createAddresses(secret: string) {
  const key = Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, 32))
  const signatureOf = (body: string) => createHmac('sha256', key).update(body).digest()
  const sign = (grant: GrantOf<Kind>): string => {
    const body = Buffer.from(JSON.stringify(grant)).toString('base64url')
    return `${body}.${signatureOf(body).toString('base64url')}`
  }

  /**
   * Returns the grant of a valid token; null for any other text, for a grant of another kind, and after its
   * expiry.
   */
  function read<K extends Kind>(kind: K, token: string): GrantOf<K> | null {
    const [body = '', signature = '', ...rest] = token.length > MAX_TOKEN ? [] : token.split('.')
    if (rest.length > 0 || !/^[\w-]{43}$/.test(signature)) return null
    // Rejects other encodings of the same bytes: the last of 43 base64url characters has spare bits.
    const given = Buffer.from(signature, 'base64url')
    if (given.toString('base64url') !== signature || !timingSafeEqual(given, signatureOf(body))) return null
    const grant: unknown = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
    const result = grants[kind].safeParse(grant)
    return result.success && result.data.expiresAt > Date.now() ? (result.data as GrantOf<K>) : null
  }

  return {
    signUpload: (grant: UploadGrant) => sign({ kind: 'upload', ...grant }),
    signDownload: (grant: DownloadGrant) => sign({ kind: 'download', ...grant }),
    readUpload: (token: string): UploadGrant | null => read('upload', token),
    readDownload: (token: string): DownloadGrant | null => read('download', token),
  }
}

export type Addresses = ReturnType<typeof createAddresses>
