import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import { TEST_PROVIDERS } from '#server/testing/providers/registry.ts'
import { hmac, sign } from '#server/testing/webhooks.ts'
import { FORGED, type FuzzedServer, type HostileRequest, JSON_TYPE, MAX_HEAD_BYTES } from '../house.ts'
import { fitted, PLAIN_FILLINGS, SHAPES } from '../shapes.ts'
import { defineTarget, type FuzzTarget } from '../target.ts'

/** Headers that the server reads, with the text before the filling. */
const HEADERS: readonly (readonly [name: string, opening: string])[] = [
  ['cookie', ''],
  ['cookie', 'better-auth.session_token='],
  ['cookie', 'better-auth.session_token="'],
  ['authorization', ''],
  ['authorization', 'Bearer '],
  ['authorization', 'Bearer rht_'],
  ['authorization', 'Bearer a.'],
  ['x-forwarded-for', ''],
  ['x-forwarded-for', '192.0.2.1'],
  ['accept', ''],
  ['accept', 'application/jsonl,'],
  ['trpc-accept', ''],
  ['content-type', ''],
  ['content-type', 'application/json;'],
  ['content-type', 'multipart/form-data; boundary='],
  ['host', ''],
  ['origin', ''],
  ['origin', 'https://'],
  ['x-request-id', ''],
  ['x-organization-id', ''],
  ['x-two-factor-token', ''],
  ['last-event-id', ''],
  ['range', 'bytes='],
  ['if-none-match', ''],
  ['user-agent', ''],
]

const ROUTES: readonly HostileRequest[] = [
  { method: 'GET', path: '/trpc/tasks.list' },
  { method: 'POST', path: '/trpc/tasks.create', body: Buffer.from('{}') },
  { method: 'GET', path: '/trpc/tasks.logs.stream' },
  { method: 'GET', path: '/api/auth/get-session' },
  { method: 'POST', path: '/api/auth/sign-out', body: Buffer.from('{}') },
  { method: 'GET', path: '/oauth/github/callback' },
  { method: 'POST', path: '/webhooks/slack', body: Buffer.from('{}') },
  { method: 'GET', path: '/media/files/a.b' },
]

/** Beginnings of addresses, before the filling. */
const ADDRESSES: readonly string[] = [
  '/',
  '/trpc/',
  '/trpc/tasks.list?',
  '/trpc/tasks.list?input=',
  '/trpc/tasks.list?batch=1&input=',
  '/trpc/tasks.list,',
  '/trpc/tasks.list?connectionParams=',
  '/trpc/tasks.logs.stream?lastEventId=',
  '/api/auth/',
  '/api/auth/get-session?',
  '/api/auth/verify-email?token=',
  '/api/auth/reset-password/',
  '/api/auth/reset-password/a?callbackURL=',
  '/api/auth/callback/github?state=',
  '/api/auth/callback/github?code=a&state=',
  '/api/auth/error?error=',
  '/oauth/github/callback?state=',
  '/webhooks/',
  '/media/exports/',
  '/media/files/',
  '/media/files/a.',
  '/media/uploads/',
]

export function headTargets(server: FuzzedServer): FuzzTarget[] {
  const headers = HEADERS.flatMap(([name, opening]) =>
    ROUTES.flatMap(route =>
      PLAIN_FILLINGS.map(([filling, text]) =>
        defineTarget({
          group: `header ${name}`,
          name: `${filling} behind "${opening}" at ${route.path}`,
          maxBytes: MAX_HEAD_BYTES,
          generate: sizeBytes =>
            opening + text.repeat(Math.max(1, (sizeBytes - opening.length) / text.length)),
          run: value => server.send({ ...route, headers: { ...JSON_TYPE, [name]: value } }),
        }),
      ),
    ),
  )
  const addresses = ADDRESSES.flatMap(opening =>
    PLAIN_FILLINGS.flatMap(([filling, text]) => {
      const part = encodeURI(text).replaceAll('#', '%23')
      return (['GET', 'POST', 'PUT'] as const).map(method =>
        defineTarget({
          group: `address ${opening.split(/[?,]/)[0]}`,
          name: `${method} ${opening} and ${filling}`,
          maxBytes: MAX_HEAD_BYTES,
          generate: sizeBytes =>
            opening + part.repeat(Math.max(1, (sizeBytes - opening.length) / part.length)),
          run: path => server.send({ method, path, headers: JSON_TYPE }),
        }),
      )
    }),
  )
  return [...headers, ...addresses]
}

/**
 * Bodies of forms and of unknown types that a route may receive; a route refuses one unread, or reads all of
 * it.
 */
const FORMS: readonly (readonly [name: string, opening: string, part: string])[] = [
  ['many parts', '', '--x\r\ncontent-disposition: form-data; name="a"\r\n\r\na\r\n'],
  ['many empty parts', '', '--x\r\n\r\n\r\n'],
  ['many files', '', '--x\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n\r\n'],
  ['many headers of a part', '--x\r\n', 'a: b\r\n'],
  ['almost boundaries', '--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n', '\r\n--'],
  ['line breaks', '--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n', '\r\n'],
  ['a long name', '--x\r\ncontent-disposition: form-data; name="', 'a'],
  ['a name of escapes', '--x\r\ncontent-disposition: form-data; name="', '%0'],
  ['a long file name', '--x\r\ncontent-disposition: form-data; name="a"; filename="', '\\"'],
  ['many parameters', '--x\r\ncontent-disposition: form-data', '; name="a"'],
  ['spaces', '--x\r\ncontent-disposition: form-data;', ' '],
]

export function bodyTargets(server: FuzzedServer): FuzzTarget[] {
  const paths = ['/trpc/tasks.create', '/trpc/tasks.create?batch=1', '/api/auth/sign-out']
  const types = [
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/octet-stream',
  ]
  return paths.flatMap(path =>
    types.flatMap(type =>
      FORMS.map(([name, opening, part]) =>
        defineTarget({
          group: `forms at ${path.split('?')[0]}`,
          name: `${name} as ${type} at ${path}`,
          generate: sizeBytes =>
            Buffer.from(opening + part.repeat((sizeBytes - opening.length) / part.length)),
          run: body =>
            server.send({ method: 'POST', path, headers: { ...FORGED, 'content-type': type }, body }),
        }),
      ),
    ),
  )
}

/** Unsigned deliveries, and signed ones with content that a stranger wrote. */
export function webhookTargets(server: FuzzedServer): FuzzTarget[] {
  return PROVIDERS.flatMap(provider =>
    SHAPES.flatMap(([shapeName, shape]) => {
      const target = (
        name: string,
        headersOf: (body: Buffer) => Record<string, string>,
        wrap: (json: string) => string,
      ) =>
        defineTarget({
          group: `webhooks of ${provider}`,
          name,
          generate: sizeBytes => Buffer.from(fitted(size => wrap(shape(size, '0')), sizeBytes)),
          run: body =>
            server.send({ method: 'POST', path: `/webhooks/${provider}`, headers: headersOf(body), body }),
        })
      const signed = (body: Buffer) => sign(provider, body).headers as Record<string, string>
      return [
        target(
          `${shapeName}, unsigned`,
          () => ({ ...JSON_TYPE, 'x-hub-signature-256': hmac('x', 'y') }),
          json => json,
        ),
        target(
          `${shapeName} in a delivery`,
          signed,
          json => `{"id":${json},"type":"event_callback","event":{"type":${json.slice(0, 99)}}}`,
        ),
        target(`${shapeName} beside an event`, signed, json => eventBody(provider).replace('"?"', json)),
      ]
    }),
  )
}

function eventBody(provider: ProviderName): string {
  const { event, newExternalId } = TEST_PROVIDERS[provider].webhook
  return JSON.stringify({ ...event(newExternalId()), extra: '?' })
}
