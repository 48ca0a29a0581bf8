import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDiskStore } from './disk-store.ts'
import { safeFileName } from './file-name.ts'

const NAMES: readonly (readonly [string, string])[] = [
  ['a picture.png', 'a picture.png'],
  ['Grüße (2).tar.gz', 'Grüße (2).tar.gz'],
  ['日本語.txt', '日本語.txt'],
  ['../../etc/passwd', 'passwd'],
  ['..\\..\\windows\\system.ini', 'system.ini'],
  ['/etc/shadow', 'shadow'],
  ['C:\\autoexec.bat', 'autoexec.bat'],
  ['..', 'file'],
  ['.', 'file'],
  ['...', 'file'],
  ['a/..', 'file'],
  ['a/', 'file'],
  ['.htaccess', 'htaccess'],
  ['..%2f..%2fetc', '_2f.._2fetc'],
  ['a\0b.png', 'a_b.png'],
  ['a\nb\r.png', 'a_b_.png'],
  ['a\u202egnp.exe', 'a_gnp.exe'],
  ['..\u2215..\u2215etc', '_.._etc'],
  ['．．／x', '．．／x'.normalize('NFC').replaceAll(/[．／]/g, '_')],
  ['<script>.png', '_script_.png'],
  ['name. ', 'name'],
]

describe('the name of a file', () => {
  it.each(NAMES)('of %j is sanitized to %j', (name, safe) => {
    expect(safeFileName(name)).toBe(safe)
  })

  it('keeps its extension if it is too long', () => {
    const safe = safeFileName(`${'ü'.repeat(255)}.jpeg`)
    expect(safe).toMatch(/^ü+\.jpeg$/)
    expect(Buffer.byteLength(safe)).toBeLessThanOrEqual(150)
  })
})

describe('the store', () => {
  let around: string
  beforeAll(async () => {
    around = await mkdtemp(join(tmpdir(), 'rowhouse-media-'))
  })
  afterAll(() => rm(around, { recursive: true, force: true }))

  const openStore = () => {
    const directory = join(around, 'media')
    return openDiskStore({ directory }, { appUrl: 'http://localhost:3000', authSecret: 'secret' })
  }

  it('stores a file of any name in its own directory', async () => {
    const store = openStore()
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'./\\a\0 ') })),
        async name => {
          const id = randomUUID()
          await store.receive(Readable.from([Buffer.from('x')]), {
            key: `originals/${id}/${safeFileName(name)}`,
            sizeBytes: 1,
          })
          expect(await readdir(join(around, 'media', 'originals', id))).toHaveLength(1)
          expect(await readdir(around)).toEqual(['media'])
        },
      ),
      { numRuns: 200 },
    )
  })

  it.each([
    'originals/../../x',
    `originals/${randomUUID()}/..`,
    `originals/${randomUUID()}/a/b`,
    '/etc/passwd',
    '',
  ])('rejects the key %j', async key => {
    const store = openStore()
    await expect(async () => store.open(key)).rejects.toThrow('is not a valid storage key')
    await expect(store.receive(Readable.from([]), { key, sizeBytes: 1 })).rejects.toThrow(
      'is not a valid storage key',
    )
  })
})
