import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Kysely, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { poolConfig } from '../postgres-client.ts'
import { lineDifference, readCatalog, renderCatalog } from './catalog.ts'
import { type Column, readColumns, type Table } from './columns.ts'
import { connectOwner } from './connect.ts'
import { MigrationError } from './errors.ts'
import { defaultDirectory, shownPath } from './file.ts'
import { generateRows } from './generate-rows.ts'
import { generateTriggers } from './generate-triggers.ts'
import { generateValues } from './generate-values.ts'
import { type MigrateOptions, migrateToLatest } from './runner.ts'
import { withScratchDatabase } from './scratch.ts'

export interface CodegenOptions extends MigrateOptions {
  /**
   * The path of the generated types, with rows, values and triggers beside it; `server/db/types.ts` by
   * default.
   */
  typesFile?: string
}

/** A generated file and its expected text. */
export interface GeneratedFile {
  path: string
  content: string
}

const SCHEMAS = ['app', 'auth']

const defaultTypesFile = fileURLToPath(new URL('../../db/types.ts', import.meta.url))

/** Builds the migrations in a scratch database and returns the expected generated files. */
export async function generateFiles(options: CodegenOptions): Promise<GeneratedFile[]> {
  return withScratchDatabase(options.url, async url => {
    await migrateToLatest({ ...options, url, log: undefined })
    return filesFrom(url, options)
  })
}

/**
 * The expected generated files for the database at this URL. `schema.sql` belongs to the directory of
 * migrations.
 */
export async function filesFrom(url: string, options: CodegenOptions): Promise<GeneratedFile[]> {
  const { directory = defaultDirectory, typesFile = defaultTypesFile } = options
  const client = await connectOwner(url)
  try {
    const tables = await readColumns(client, SCHEMAS)
    const beside = (name: string) => join(dirname(typesFile), name)
    return [
      { path: join(directory, 'schema.sql'), content: renderCatalog(await readCatalog(client)) },
      { path: typesFile, content: await generateTypes(url, tables) },
      { path: beside('rows.ts'), content: generateRows(tables) },
      { path: beside('values.ts'), content: generateValues(tables) },
      { path: beside('trigger-list.ts'), content: await generateTriggers(client, SCHEMAS) },
    ]
  } finally {
    await client.end()
  }
}

/** Writes the files that are not current and returns their paths. */
export async function writeFiles(files: GeneratedFile[]): Promise<string[]> {
  const written: string[] = []
  for (const file of files) {
    if ((await readOrNothing(file.path)) === file.content) continue
    await writeFile(file.path, file.content)
    written.push(shownPath(file.path))
  }
  return written
}

export interface StaleFile {
  path: string
  /** The differing lines, marked - (expected) and + (found). */
  lines: string[]
}

export async function staleFiles(files: GeneratedFile[]): Promise<StaleFile[]> {
  const stale: StaleFile[] = []
  for (const file of files) {
    const current = await readOrNothing(file.path)
    if (current === file.content) continue
    const lines = current === '' ? ['the file does not exist'] : lineDifference(file.content, current)
    stale.push({ path: shownPath(file.path), lines })
  }
  return stale
}

async function readOrNothing(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replaceAll('\r\n', '\n')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}

/** Runs kysely-codegen over the schemas app and auth. */
async function generateTypes(url: string, tables: readonly Table[]): Promise<string> {
  const codegen = await import('kysely-codegen').catch((cause: unknown) => {
    throw new MigrationError('no_codegen', 'kysely-codegen is not installed: run npm ci without --omit=dev', {
      cause,
    })
  })
  // kysely-codegen omits the prefix for tables of a default schema; a schema that does not exist keeps all
  // prefixes.
  const defaultSchemas = ['none']
  const pool = new Pool({ ...poolConfig(url), max: 1 })
  // A pool forgets a connection before the server does: dropping the scratch database may still end it, with
  // an error here.
  pool.on('error', () => undefined)
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await codegen.generate({
      db,
      dialect: new codegen.PostgresDialect({ defaultSchemas, dateParser: 'string', numericParser: 'string' }),
      defaultSchemas,
      includePattern: '(app|auth).*',
      camelCase: true,
      // The scoped database parses bigint as a number, and throws if it does not fit.
      typeMapping: { int8: 'number' },
      // Passed as nodes: kysely-codegen parses text with an interface that TypeScript 7 no longer has.
      overrides: {
        columns: Object.fromEntries(
          tables.flatMap(narrowedTypes).map(([path, type]) => [path, new codegen.RawExpressionNode(type)]),
        ),
      },
      outFile: null,
    })
  } finally {
    await db.destroy()
  }
}

/** The columns whose check or expression narrows their type. */
function narrowedTypes({ schema, name, columns }: Table): [column: string, type: string][] {
  return columns.flatMap(column => {
    const type = narrowedType(column)
    return type === null ? [] : [[`${schema}.${name}.${column.name}`, type]]
  })
}

/** The type without null, which kysely-codegen adds. */
function narrowedType({ rule, isArray, hasDefault, isGenerated }: Column): string | null {
  if (isGenerated) return 'ColumnType<string, never, never>'
  if (!rule.values) return null
  const union = rule.values.map(value => JSON.stringify(value)).join(' | ')
  const type = isArray ? `Array<${union}>` : union
  return hasDefault ? `Generated<${type}>` : type
}
