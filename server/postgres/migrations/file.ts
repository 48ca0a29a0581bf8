import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MigrationError } from './errors.ts'
import { type Statement, splitStatements } from './statements.ts'

/** A parsed file `migrations/NNNN_name.sql`. */
export interface MigrationFile {
  /** The file's name without `.sql`. */
  name: string
  /** The file's path in messages. */
  path: string
  source: string
  /** SHA-256 of the source in hex, with line endings normalised. */
  checksum: string
  /** False if the file has the line `-- rowhouse: no transaction`. */
  isTransactional: boolean
  up: Section
  down: Section
}

interface Section {
  text: string
  statements: Statement[]
}

export const defaultDirectory = fileURLToPath(new URL('../../../migrations/', import.meta.url))

const namePattern = /^(\d{4,})_[a-z0-9][a-z0-9_]*$/
/** SQL files in the directory that are not migrations. */
const otherFiles = new Set(['schema.sql'])

/** Reads all migrations of a directory, in the order in which they apply. */
export async function readMigrationFiles(directory = defaultDirectory): Promise<MigrationFile[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw new MigrationError(
      'no_directory',
      `there is no directory of migrations at ${shownPath(directory)}`,
      {
        cause,
      },
    )
  })
  const stems = names
    .filter(name => name.endsWith('.sql') && !otherFiles.has(name))
    .map(name => name.slice(0, -'.sql'.length))
  for (const stem of stems) {
    if (!namePattern.test(stem)) {
      const file = shownPath(join(directory, `${stem}.sql`))
      throw new MigrationError(
        'bad_file_name',
        `${file}: rename the file like 0007_add_labels.sql (digits, lower case, underscores)`,
        { file },
      )
    }
  }
  stems.sort(byNumber)
  stems.forEach((stem, index) => {
    const previous = stems[index - 1]
    if (previous !== undefined && numberOf(previous) === numberOf(stem)) {
      throw new MigrationError(
        'same_number',
        `${previous}.sql and ${stem}.sql have the same number: rename the one that has not been applied`,
      )
    }
  })
  return Promise.all(
    stems.map(async stem => {
      const path = join(directory, `${stem}.sql`)
      return parseMigration(stem, await readFile(path, 'utf8'), shownPath(path))
    }),
  )
}

/** Splits a migration's source into its parts; errors have the file and the line. */
export function parseMigration(name: string, rawSource: string, path = `${name}.sql`): MigrationFile {
  const source = rawSource.replace(/^\uFEFF/, '').replace(/\r\n/g, '\n')
  const fail = (line: number, message: string): never => {
    throw new MigrationError('bad_file', `${path}:${line}: ${message}`, { file: path, line })
  }
  const lines = source.split('\n')
  const markers: { part: string; index: number }[] = []
  let isTransactional = true
  lines.forEach((line, index) => {
    const marker = /^--\s*migrate:\s*(\S*)\s*$/.exec(line)
    if (marker) markers.push({ part: marker[1] ?? '', index })
    const directive = /^--\s*rowhouse:\s*(.*?)\s*$/.exec(line)
    if (!directive) return
    if (directive[1] !== 'no transaction') {
      fail(index + 1, `"${line.trim()}" is unknown; the only directive is "-- rowhouse: no transaction"`)
    }
    isTransactional = false
  })
  const [up, down, extra] = markers
  if (up?.part !== 'up')
    return fail((up?.index ?? 0) + 1, 'the first part must start with a line "-- migrate:up"')
  if (down?.part !== 'down') {
    return fail(
      (down?.index ?? lines.length - 1) + 1,
      'the second part must start with a line "-- migrate:down"',
    )
  }
  if (extra)
    return fail(
      extra.index + 1,
      `a third part, "migrate:${extra.part}": a file has only one up and one down part`,
    )

  const prose = splitStatements(lines.slice(0, up.index).join('\n'))
  if (prose[0])
    return fail(prose[0].line, 'SQL before "-- migrate:up" would never run: move it after that line')

  const section = (from: number, to: number): Section => {
    const text = lines.slice(from + 1, to).join('\n')
    const statements = splitStatements(text, from + 2)
    for (const statement of statements) {
      if (controlsTransaction(statement.text)) {
        fail(
          statement.line,
          `"${firstWords(statement.text)}": remove it, since the runner begins and commits the transaction`,
        )
      }
    }
    return { text: text.trim(), statements }
  }
  return {
    name,
    path,
    source,
    checksum: createHash('sha256').update(source).digest('hex'),
    isTransactional,
    up: section(up.index, down.index),
    down: section(down.index, lines.length),
  }
}

/** Writes an empty migration under the next number and returns its path. */
export async function createMigrationFile(title: string, directory = defaultDirectory): Promise<string> {
  const slug = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
  if (slug === '') {
    throw new MigrationError(
      'bad_name',
      `"${title}" gives no file name: use letters and digits, as in add_labels`,
    )
  }
  const files = await readMigrationFiles(directory)
  const last = files.at(-1)
  const number = String((last ? numberOf(last.name) : 0) + 1).padStart(4, '0')
  const path = join(directory, `${number}_${slug}.sql`)
  await writeFile(path, template(title), { flag: 'wx' })
  return shownPath(path)
}

const template = (title: string) => `-- ${title}
--
-- What this adds and why, in two to four sentences.

-- migrate:up


-- migrate:down

`

/** Compares migration names by their number. */
export function byNumber(left: string, right: string): number {
  return numberOf(left) - numberOf(right) || (left < right ? -1 : left > right ? 1 : 0)
}

function numberOf(name: string): number {
  return Number.parseInt(name, 10)
}

function controlsTransaction(text: string): boolean {
  return /^(begin|commit|end|rollback|abort|start\s+transaction|prepare\s+transaction)\b/i.test(text)
}

function firstWords(text: string): string {
  return text.split(/\s+/).slice(0, 4).join(' ')
}

export function shownPath(path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere === '' || fromHere.startsWith('..') ? path : fromHere
}
