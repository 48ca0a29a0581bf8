// A bucket in this process. s3rver stores the files but accepts every signature, so this checks signatures
// (Signature Version 4) and `if-none-match` as S3 does.

import { createHash, createHmac } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from 's3rver'

const OBJECT = '._S3rver_object'

export interface S3Server {
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  keys(): Promise<string[]>
  close(): Promise<void>
}

export async function startS3Server(): Promise<S3Server> {
  const bucket = 'rowhouse-media'
  const secretAccessKey = 'S3RVER'
  const directory = await mkdtemp(join(tmpdir(), 'rowhouse-s3-'))
  const app = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket, configs: [] }],
  })
  await app.configureBuckets()
  const handle = app.callback()
  const server = createServer((req, res) => {
    const path = decodeURIComponent(new URL(req.url ?? '/', 'http://x').pathname)
    if (!isSigned(req, secretAccessKey)) res.writeHead(403, { connection: 'close' }).end()
    else if (req.headers['if-none-match'] === '*' && existsSync(join(directory, path) + OBJECT))
      res.writeHead(412, { connection: 'close' }).end()
    else handle(req, res)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bucket,
    accessKeyId: 'S3RVER',
    secretAccessKey,
    keys: async () => {
      const entries = await readdir(join(directory, bucket), { recursive: true }).catch(() => [])
      return entries.filter(key => key.endsWith(OBJECT)).map(key => key.slice(0, -OBJECT.length))
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      await rm(directory, { recursive: true, force: true })
    },
  }
}

interface Signature {
  readonly credential: string
  readonly date: string
  readonly signedHeaders: string
  readonly signature: string
  readonly payload: string
  readonly expiresAt: number
}

/** Returns whether a request has a valid and current signature of the secret. */
function isSigned(req: IncomingMessage, secret: string): boolean {
  const [path = '', search = ''] = (req.url ?? '').split('?')
  const query = new URLSearchParams(search)
  const signed = query.has('X-Amz-Signature') ? fromQuery(query) : fromHeaders(req)
  if (signed === null || signed.expiresAt < Date.now()) return false
  const [, day = '', region = '', service = '', end = ''] = signed.credential.split('/')
  const names = signed.signedHeaders.split(';')
  const canonical = [
    req.method,
    path,
    search
      .split('&')
      .filter(pair => pair !== '' && !pair.startsWith('X-Amz-Signature='))
      .map(pair => (pair.includes('=') ? pair : `${pair}=`))
      .sort()
      .join('&'),
    ...names.map(name => `${name}:${String(req.headers[name] ?? '').trim()}`),
    '',
    signed.signedHeaders,
    signed.payload,
  ].join('\n')
  const scope = [day, region, service, end].join('/')
  const text = ['AWS4-HMAC-SHA256', signed.date, scope, sha256(canonical)].join('\n')
  const key = [day, region, service, end].reduce<string | Buffer>(
    (secretSoFar, part) => createHmac('sha256', secretSoFar).update(part).digest(),
    `AWS4${secret}`,
  )
  return createHmac('sha256', key).update(text).digest('hex') === signed.signature
}

function fromQuery(query: URLSearchParams): Signature {
  const date = query.get('X-Amz-Date') ?? ''
  return {
    credential: query.get('X-Amz-Credential') ?? '',
    date,
    signedHeaders: query.get('X-Amz-SignedHeaders') ?? '',
    signature: query.get('X-Amz-Signature') ?? '',
    payload: 'UNSIGNED-PAYLOAD',
    expiresAt: timeOf(date) + Number(query.get('X-Amz-Expires')) * 1_000,
  }
}

function fromHeaders({ headers }: IncomingMessage): Signature | null {
  const [, credential, signedHeaders, signature] =
    /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=(\w+)$/.exec(
      headers.authorization ?? '',
    ) ?? []
  if (!credential || !signedHeaders || !signature) return null
  const date = String(headers['x-amz-date'])
  const payload = String(headers['x-amz-content-sha256'])
  return { credential, date, signedHeaders, signature, payload, expiresAt: timeOf(date) + 15 * 60_000 }
}

function timeOf(date: string): number {
  return Date.parse(date.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/, '$1-$2-$3:$4:$5'))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
