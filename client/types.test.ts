import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs tsc on some files of this project; returns its errors, or an empty string. */
async function diagnose(...files: string[]): Promise<string> {
  const directory = await mkdtemp(join(root, 'node_modules', '.types-'))
  try {
    const project = join(directory, 'tsconfig.json')
    await writeFile(project, JSON.stringify({ extends: join(root, 'tsconfig.json'), include: [], files }))
    await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', project])
    return ''
  } catch (error) {
    return String((error as { stdout?: string }).stdout ?? error)
  } finally {
    await rm(directory, { recursive: true })
  }
}

const ambient = join(root, 'server/db/pg-internals.d.ts')

test('a correct call compiles; a wrong input, a wrong output field and a missing procedure do not', async () => {
  expect(await diagnose(join(root, 'client/types.test-d.ts'), ambient)).toBe('')
})
