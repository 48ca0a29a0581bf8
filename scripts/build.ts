// Builds the package into dist/: ES modules with declarations, and the migrations that they apply.
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Empties `outDir` and builds into it. Does not check types: `npm run check` does. */
export function build(outDir: string): void {
  rmSync(outDir, { recursive: true, force: true })
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  execFileSync(tsc, ['-p', join(root, 'tsconfig.build.json'), '--outDir', outDir], { stdio: 'inherit' })
  for (const file of globSync('**/*.{js,d.ts}', { cwd: outDir })) {
    const path = join(outDir, file)
    writeFileSync(path, withPublishedSpecifiers(readFileSync(path, 'utf8'), file))
  }
  cpSync(join(root, 'migrations'), join(outDir, 'migrations'), { recursive: true })
}

/**
 * An import that bundlers ignore: it must name the package, so that Node finds the module in node_modules
 * wherever the bundle is.
 */
const UNBUNDLED = /(\bimport\(\s*\/\* webpackIgnore: true \*\/\s*)(['"])#server\/index\.ts\2/g
const SPECIFIER =
  /(\bfrom |\bimport |\bimport\()(['"])(#(?:client|server|scripts)|\.\.?)(\/[^'"]+?)\.(?:tsx?|js)\2/g

/**
 * Rewrites the imports of a module to the emitted files: `#server/x.ts` becomes `../server/x.js`. tsc
 * rewrites neither aliases nor the imports of declarations.
 */
export function withPublishedSpecifiers(source: string, file: string): string {
  const external = source.replace(UNBUNDLED, '$1$2rowhouse/server$2')
  return external.replace(SPECIFIER, (_match, before, quote, base, path) => {
    const target = base.startsWith('#') ? relativePath(file, base.slice(1) + path) : base + path
    return `${before}${quote}${target}.js${quote}`
  })
}

function relativePath(from: string, to: string): string {
  const path = relative(dirname(from), to).split(sep).join('/')
  return path.startsWith('.') ? path : `./${path}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build(resolve(root, 'dist'))
