import { ENDPOINTS } from '#server/auth/endpoints.ts'
import { type FuzzedServer, JSON_TYPE } from '../house.ts'
import { fitted, SHAPES } from '../shapes.ts'
import { defineTarget, type FuzzTarget } from '../target.ts'

/** A longer body is refused by its length. */
const MAX_BODY_BYTES = 64 * 1024
const FIELDS: Readonly<Record<string, string>> = {
  email: '"ada@example.com"',
  password: '"a"',
  name: '"Ada"',
  image: '"https://a.b/c"',
  callbackURL: '"/a"',
  redirectTo: '"/a"',
  token: '"a"',
  newPassword: '"a"',
  provider: '"github"',
  idToken: '{"token":"a"}',
  code: '"000000"',
}

/** The sign-in library's endpoints that need no session, with a hostile value in every field. */
export function authTargets(server: FuzzedServer): FuzzTarget[] {
  const open = ENDPOINTS.filter(endpoint => endpoint.method === 'POST' && !('needsSession' in endpoint))
  return open.flatMap(({ path }) =>
    ['the body', ...Object.keys(FIELDS)].flatMap(field =>
      SHAPES.map(([name, shape]) =>
        defineTarget({
          group: `/api/auth${path}`,
          name: `${name} in ${field}`,
          maxBytes: MAX_BODY_BYTES,
          generate: sizeBytes =>
            Buffer.from(fitted(size => bodyOf(field, shape(Math.max(8, size - 300), '0')), sizeBytes)),
          run: body => server.send({ method: 'POST', path: `/api/auth${path}`, headers: JSON_TYPE, body }),
        }),
      ),
    ),
  )
}

function bodyOf(field: string, json: string): string {
  if (!(field in FIELDS)) return json
  const members = Object.entries({ ...FIELDS, [field]: json }).map(([name, value]) => `"${name}":${value}`)
  return `{${members.join(',')}}`
}
