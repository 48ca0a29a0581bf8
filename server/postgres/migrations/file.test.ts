import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createMigrationFile, parseMigration, readMigrationFiles } from './file.ts'

const directoryOf = async (files: Record<string, string>) => {
  const directory = await mkdtemp(join(tmpdir(), 'rowhouse-files-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  for (const [name, source] of Object.entries(files)) await writeFile(join(directory, name), source)
  return directory
}
const whole = '-- Prose.\n\n-- migrate:up\nselect 1;\n\n-- migrate:down\nselect 2;\n'

test('a file is split into its two parts, with line numbers of the file', () => {
  const file = parseMigration('0001_a', whole)
  expect(file.isTransactional).toBe(true)
  expect(file.up.statements).toEqual([{ text: 'select 1', line: 4 }])
  expect(file.down.statements).toEqual([{ text: 'select 2', line: 7 }])
})

test('a checksum depends on everything except line endings', () => {
  const { checksum } = parseMigration('0001_a', whole)
  expect(parseMigration('0001_a', whole.replaceAll('\n', '\r\n')).checksum).toBe(checksum)
  expect(parseMigration('0001_a', `${whole} `).checksum).not.toBe(checksum)
})

test('a file opts out of the transaction with a directive', () => {
  expect(parseMigration('0001_a', `-- rowhouse: no transaction\n${whole}`).isTransactional).toBe(false)
})

test.each([
  ['select 1;\n', '0001_a.sql:1: the first part must start with'],
  ['-- migrate:down\n-- migrate:up\n', '0001_a.sql:1: the first part'],
  ['-- migrate:up\nselect 1;\n', '0001_a.sql:3: the second part must start with'],
  ['-- migrate:up\n-- migrate:up\n', '0001_a.sql:2: the second part'],
  ['-- migrate:up\n-- migrate:down\n-- migrate:up\n', '0001_a.sql:3: a third part'],
  ['select 1;\n-- migrate:up\n-- migrate:down\n', '0001_a.sql:1: SQL before'],
  [
    '-- rowhouse: no transactions\n-- migrate:up\n-- migrate:down\n',
    '0001_a.sql:1: "-- rowhouse: no transactions"',
  ],
  ['-- migrate:up\n\ncommit;\n-- migrate:down\n', '0001_a.sql:3: "commit"'],
  ['-- migrate:up\n-- migrate:down\nselect 1; start transaction;\n', '0001_a.sql:3: "start transaction"'],
])('an error about a file has its name and line: %j', (source, message) => {
  expect(() => parseMigration('0001_a', source)).toThrow(message)
})

test('migrations are read in the order of their numbers, without schema.sql', async () => {
  const directory = await directoryOf({
    '10000_late.sql': whole,
    '9999_early.sql': whole,
    'schema.sql': '',
    'README.md': '',
  })
  const files = await readMigrationFiles(directory)
  expect(files.map(file => file.name)).toEqual(['9999_early', '10000_late'])
})

test('a file name without a number, and two files with one number, are refused by name', async () => {
  await expect(readMigrationFiles(await directoryOf({ 'Labels.sql': whole }))).rejects.toThrow('Labels.sql')
  const twins = await directoryOf({ '0001_a.sql': whole, '0001_b.sql': whole })
  await expect(readMigrationFiles(twins)).rejects.toThrow('0001_a.sql and 0001_b.sql')
  await expect(readMigrationFiles(join(twins, 'none'))).rejects.toThrow('no directory of migrations')
})

test('a created file has the next number, is a valid migration, and overwrites nothing', async () => {
  const directory = await directoryOf({ '0007_a.sql': whole })
  const path = await createMigrationFile('Add labels, at last!', directory)
  expect(path).toBe(join(directory, '0008_add_labels_at_last.sql'))
  expect(await readFile(path, 'utf8')).toContain('-- migrate:up')
  expect((await readMigrationFiles(directory)).at(-1)?.up.statements).toEqual([])
  await expect(createMigrationFile('…', directory)).rejects.toThrow('use letters and digits')
})
