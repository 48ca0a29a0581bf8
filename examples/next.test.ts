import { execFile, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient, signUp } from '#client/index.ts'
import { block } from '#scripts/documents.ts'
import {
  freePort,
  SERVER_PROGRAM,
  type ServerProcess,
  startServerProgram,
} from '#server/testing/server-process.ts'

// The app in next/, and what docs/app.md shows of Next.js: installed from the packed archive, built, started, and
// called over HTTP.

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'examples/next/package.json'), 'utf8'))
const { next } = manifest.dependencies

const isRegistryThere = spawnSync('npm', ['view', `next@${next}`, 'version']).status === 0
if (!isRegistryThere) console.warn(`skipped: npm's registry, which has next@${next}, does not answer`)

const PASSWORD = 'correct horse battery staple'
const EMAIL = 'ada@example.com'
const PATH = `${join(root, 'node_modules/.bin')}:/usr/local/bin:/usr/bin:/bin`

describe.skipIf(!isRegistryThere)('a Next.js app beside a Rowhouse server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rowhouse-next-'))
  const app = join(directory, 'examples/next')
  let server: ServerProcess | undefined
  let nextServer: ServerProcess | undefined
  let url: string
  let token: string
  let cookie: string
  let shared: Record<string, string>
  let taskId: string

  beforeAll(async () => {
    await run('npm', ['pack', '--pack-destination', directory], { cwd: root })
    cpSync(join(root, 'examples/next'), app, {
      recursive: true,
      filter: path => !/\/(node_modules|\.next)$/.test(path),
    })
    addShown(app)
    const install = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline']
    await run('npm', install, { cwd: app })
    await build()
    const port = await freePort()
    shared = {
      PATH,
      APP_URL: `http://localhost:${port}`,
      DATA_DIR: join(directory, 'data'),
      EMBEDDED_POSTGRES: 'true',
      AUTH_SECRET: 'Zr8kq2vTn5Wc9Xy1Lp4Hd7Gs3Bf6Jm0Q',
      ENCRYPTION_KEYS: `k1:${'0123456789abcdef'.repeat(4)}`,
    }
    server = await startServerProgram(SERVER_PROGRAM, {
      cwd: directory,
      env: { ...shared, PORT: String(port) },
    })
    token = (await signUp({ url: server.url, email: EMAIL, password: PASSWORD, name: 'Ada' })).token
    cookie = `better-auth.session_token=${encodeURIComponent(token)}`
    taskId = (await createClient({ url: server.url, token }).tasks.create.mutate({ prompt: 'Mend the roof' }))
      .id
    await start()
  })
  afterAll(async () => {
    await nextServer?.stop()
    await server?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const program = join(app, 'node_modules/next/dist/bin/next')
  const common = { PATH, HOME: directory, NEXT_TELEMETRY_DISABLED: '1' }

  /** Without a word of where the database is, and with which keys. */
  async function build() {
    await run(process.execPath, [program, 'build'], { cwd: app, env: common })
  }

  async function start() {
    await nextServer?.stop()
    nextServer = await startServerProgram(
      [program, 'start', '-H', '127.0.0.1', '-p', String(await freePort())],
      { cwd: app, env: { ...common, ...shared }, isListening: /(http:\/\/127\.0\.0\.1:(\d+))/ },
    )
    url = nextServer.url
  }

  const ask = (path: string, headers: Record<string, string> = {}) =>
    fetch(url + path, { headers, redirect: 'manual' })

  test('building opens and makes nothing', () => {
    expect(existsSync(join(app, '.rowhouse'))).toBe(false)
  })

  test('a route handler answers as its visitor', async () => {
    const presented: Record<string, string>[] = [{ cookie }, { authorization: `Bearer ${token}` }]
    for (const headers of presented) {
      const response = await ask('/api/tasks', headers)
      expect(response.status).toBe(200)
      expect(await response.json()).toMatchObject({ items: [{ title: 'Mend the roof' }] })
    }
  })

  test('a route handler answers a failure with its status and reason', async () => {
    const unknown = await ask('/api/tasks')
    expect(unknown.status).toBe(401)
    expect(await unknown.json()).toMatchObject({
      error: {
        data: { code: 'UNAUTHORIZED', reason: 'unauthenticated', path: 'tasks.list', httpStatus: 401 },
      },
    })
    const stranger = await ask('/api/tasks', { cookie, 'x-organization-id': taskId })
    expect(stranger.status).toBe(403)
    expect(await stranger.json()).toMatchObject({ error: { data: { reason: 'not_a_member' } } })
    const invalid = await fetch(`${url}/api/tasks`, {
      method: 'POST',
      headers: { cookie },
      body: '{"prompt":7}',
    })
    expect(invalid.status).toBe(400)
    expect(await invalid.json()).toMatchObject({
      error: { data: { reason: 'invalid_input', issues: { fieldErrors: { prompt: expect.anything() } } } },
    })
  })

  test('a server component lists its visitor’s tasks', async () => {
    const response = await ask('/', { cookie })
    expect(response.status).toBe(200)
    expect(await response.text()).toContain('Mend the roof')
  })

  test('a server component sends a visitor without a session to sign in', async () => {
    const html = await (await ask('/')).text()
    expect(html).toContain('/sign-in')
    expect(html).not.toContain('Mend the roof')
  })

  test('a page whose answer has begun shows what is missing as not found', async () => {
    const page = await ask(`/tasks/${taskId}`, { cookie })
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('Mend the roof')
    const missing = await ask(`/tasks/${MISSING_ID}`, { cookie })
    expect(missing.status).toBe(200)
    expect(await missing.text()).toContain('noindex')
  })

  test('a server action signs in', async () => {
    const html = await (await ask('/sign-in')).text()
    const fields = [...html.matchAll(/<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?/g)]
    const submit = async (password: string) => {
      const form = new FormData()
      for (const [, name = '', value = ''] of fields) form.set(name, value.replaceAll('&quot;', '"'))
      form.set('email', EMAIL)
      form.set('password', password)
      return fetch(`${url}/sign-in`, {
        method: 'POST',
        headers: { origin: url },
        body: form,
        redirect: 'manual',
      })
    }
    const refused = await submit('wrong horse')
    expect(refused.status).toBe(303)
    expect(refused.headers.get('location')).toContain('error=unauthenticated')
    expect(refused.headers.getSetCookie()).toEqual([])
    const entered = await submit(PASSWORD)
    expect(entered.status).toBe(303)
    const [session = ''] = entered.headers.getSetCookie()
    expect(session).toMatch(/HttpOnly/i)
    const page = await ask('/', { cookie: session.split(';', 1)[0] ?? '' })
    expect(await page.text()).toContain('Mend the roof')
  })

  test("the pages' route handler and server component do what they show", async () => {
    expect(await (await ask('/shown/api', { cookie })).json()).toMatchObject([{ title: 'Mend the roof' }])
    expect((await ask('/shown/api')).status).toBe(401)
    const page = await ask('/shown', { cookie })
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('Mend the roof')
    expect(await (await ask('/shown')).text()).not.toContain('Mend the roof')
  })

  test('without cacheComponents, a failed call decides the status of a page and of a bare handler', async () => {
    writeFileSync(join(app, 'next.config.ts'), 'export default {}')
    mkdirSync(join(app, 'app/plain/[id]'), { recursive: true })
    writeFileSync(join(app, 'app/plain/[id]/page.tsx'), PLAIN_PAGE)
    mkdirSync(join(app, 'app/plain/api'), { recursive: true })
    writeFileSync(join(app, 'app/plain/api/route.ts'), PLAIN_ROUTE)
    await build()
    await start()
    const page = await ask(`/plain/${taskId}`, { cookie })
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('Mend the roof')
    expect((await ask(`/plain/${taskId}`)).status).toBe(401)
    expect((await ask(`/plain/${MISSING_ID}`, { cookie })).status).toBe(404)
    expect((await ask(`/plain/${taskId}`, { cookie, 'x-organization-id': MISSING_ID })).status).toBe(403)
    expect((await ask('/plain/api', { cookie })).status).toBe(200)
    expect((await ask('/plain/api')).status).toBe(401)
  }, 600_000)
})

const MISSING_ID = '0198c1de-0000-7000-8000-000000000000'

const PLAIN_PAGE = `
import { headers } from 'next/headers'
import { createCaller } from 'rowhouse/next'

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const task = await createCaller(await headers()).tasks.get(await params)
  return <h1>{task.title}</h1>
}
`

const PLAIN_ROUTE = `
import { createCaller } from 'rowhouse/next'

export async function GET(request: Request) {
  return Response.json(await createCaller(request).tasks.list())
}
`

/** Makes routes of the code in docs/app.md. */
function addShown(app: string): void {
  mkdirSync(join(app, 'app/shown/api'), { recursive: true })
  writeFileSync(join(app, 'app/shown/page.tsx'), block('tsx', "from 'rowhouse/next'"))
  writeFileSync(join(app, 'app/shown/api/route.ts'), block('ts', "from 'rowhouse/next'"))
}
