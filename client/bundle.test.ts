import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The server's modules that a browser may load: schemas and the constants that they use. */
const SHARED =
  /^server\/(rooms\/[\w-]+\/(schema|state|file-types)|db\/(values|rows|column-schemas)|rpc\/(inputs|lifecycle|scopes))\.ts$/
const LIBRARIES = new Set([
  '@tanstack/query-core',
  '@tanstack/react-query',
  '@trpc/client',
  '@trpc/server',
  '@trpc/tanstack-react-query',
  'copy-anything',
  'is-what',
  'react',
  'superjson',
  'zod',
])

/**
 * Bundles an entry for a browser, which fails for imports of Node's own modules; returns the bundled modules.
 */
async function bundle(entry: string) {
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    define: { 'process.env.NODE_ENV': '"production"' },
    metafile: true,
    write: false,
    logLevel: 'silent',
  })
  const inputs = Object.keys(metafile.inputs)
  return {
    own: inputs.filter(path => !path.startsWith('node_modules/')),
    libraries: new Set(
      inputs.map(path => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean),
    ),
    code: outputFiles[0]?.text ?? '',
  }
}

for (const entry of ['client/index.ts', 'client/react.tsx', 'client/schema.ts', 'client/worker.ts']) {
  test(`${entry} bundles no server code for a browser`, async () => {
    const { own, libraries, code } = await bundle(entry)
    expect(own).toContain(entry)
    expect(own.filter(path => path.startsWith('server/') && !SHARED.test(path))).toEqual([])
    expect([...libraries].filter(library => library && !LIBRARIES.has(library))).toEqual([])
    expect(code).not.toMatch(/node:|process\.env/)
  })
}

test('the client alone bundles no schema and is smaller than 50 kB', async () => {
  const { own, libraries, code } = await bundle('client/index.ts')
  expect(own.filter(path => path.startsWith('server/'))).toEqual([])
  expect([...libraries]).not.toContain('zod')
  expect(code.length).toBeLessThan(50_000)
})

test('a bundle with server code would fail', async () => {
  await expect(bundle('client/next.ts')).rejects.toThrow(/Could not resolve "node:/)
})
