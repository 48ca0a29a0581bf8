import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }

/** Which packages a process holds once the server's modules are loaded and its routes are made. */
const LIST_LOADED = `
  import { registerHooks } from 'node:module'
  const loaded = new Set()
  registerHooks({
    load(url, context, next) {
      const name = /\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url)?.[1]
      if (name) loaded.add(name)
      return next(url, context)
    },
  })
  await import('./server/start.ts')
  const { buildApp } = await import('./server/app/app.ts')
  const { createLogger } = await import('./server/app/logger.ts')
  const { initTRPC } = await import('@trpc/server')
  const app = buildApp({
    config: {
      host: '127.0.0.1', port: 0, appUrl: 'http://localhost', allowedOrigins: [], environment: 'test',
    },
    log: createLogger({ level: 'silent' }),
    router: initTRPC.create().router({}),
  })
  await app.fastify.ready()
  await app.drain()
  console.log(JSON.stringify([...loaded]))
`

// What only some servers ever call is imported with its first call: each of them takes megabytes.
test('a server that starts loads the libraries that every server needs, and no other', () => {
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', LIST_LOADED], {
    cwd: new URL('../..', import.meta.url),
    encoding: 'utf8',
  })
  const loaded: string[] = JSON.parse(output)
  expect(loaded).not.toContain('ajv')
  expect(Object.keys(packageJson.dependencies).filter(name => loaded.includes(name))).toEqual([
    '@trpc/server',
    'fastify',
    'ipaddr.js',
    'kysely',
    'pg',
    'pino',
    'prom-client',
    'superjson',
    'zod',
  ])
})
