import { existsSync, readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { ConfigError } from './reader.ts'

// A value in quotes may go on over lines.
const ASSIGNMENT =
  /^[ \t]*(?:export[ \t]+)?[^\s=#'"`]+[ \t]*=[ \t]*(?:"[^"]*"[ \t]*(?:#.*)?$|'[^']*'[ \t]*(?:#.*)?$|`[^`]*`[ \t]*(?:#.*)?$|(?!["'`]).*$)/gm

/**
 * Adds what `.env` in the working directory says to the environment, which wins; of a name that comes twice
 * the last value counts. Entry points call it first. Throws ConfigError for a line that says nothing: its
 * variable would be lost in silence.
 */
export function loadEnvFile(path = '.env'): void {
  if (!existsSync(path)) return
  // biome-ignore lint/style/noProcessEnv: the file completes the environment before it is read.
  const env = process.env
  for (const [name, value] of Object.entries(readEnvFile(path))) env[name] ??= value
}

export function readEnvFile(path: string): Readonly<Record<string, string>> {
  const text = decode(path, readFileSync(path))
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
  const rest = text.replace(ASSIGNMENT, match => '#'.padEnd(match.split('\n').length, '\n'))
  const problems = rest.split('\n').flatMap((line, index) => {
    const isNothing = /^\s*(#.*)?$/.test(line)
    // The line itself may hold a secret.
    return isNothing
      ? []
      : [`${path} has a line ${index + 1} that is no NAME=value, or a quote that never ends`]
  })
  if (problems.length > 0) throw new ConfigError(problems.slice(0, 1))
  return parseEnv(text) as Record<string, string>
}

// Windows' editors and shells write a byte-order mark, or two bytes a character.
function decode(path: string, bytes: Buffer): string {
  const encoding = { fffe: 'utf-16le', feff: 'utf-16be' }[bytes.subarray(0, 2).toString('hex')] ?? 'utf-8'
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    throw new ConfigError([`${path} is not UTF-8 text: save it as UTF-8`])
  }
}
