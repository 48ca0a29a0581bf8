// What the URLs of the disk store carry: what they allow and until when, signed. Whoever has one needs no session, so each allows
// one thing only: to put one file of this size and type in one place, or to read one.

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

/** Signs and reads addresses, with a key that derives from the secret for this purpose alone. */
export function createAddresses(secret: string) {
  const key = Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, 32))
  const signatureOf = (body: string) => createHmac('sha256', key).update(body).digest()
  const sign = (grant: GrantOf<Kind>): string => {
    const body = Buffer.from(JSON.stringify(grant)).toString('base64url')
    return `${body}.${signatureOf(body).toString('base64url')}`
  }

  /** The grant that a token of ours holds; null for any other text, another kind, and past its expiry. */
  function read<K extends Kind>(kind: K, token: string): GrantOf<K> | null {
    const [body = '', signature = '', ...rest] = token.length > MAX_TOKEN ? [] : token.split('.')
    if (rest.length > 0 || !/^[\w-]{43}$/.test(signature)) return null
    // Compared as bytes: the last character of 43 has more than one spelling.
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
