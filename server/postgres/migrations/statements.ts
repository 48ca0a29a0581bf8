/** One statement of a script, from its first word to its last, without the semicolon. */
export interface Statement {
  text: string
  /** The line of the file on which the statement starts, from 1. */
  line: number
}

/**
 * Splits a script into statements as psql does: a semicolon inside quotes, dollar quotes, nested comments,
 * parentheses or a `begin atomic … end` body ends none. Expects `standard_conforming_strings`.
 */
export function splitStatements(script: string, firstLine = 1): Statement[] {
  const statements: Statement[] = []
  let start = -1
  let end = 0
  let parentheses = 0
  let words: string[] = []
  let atomicDepth = 0

  const finish = () => {
    if (start >= 0) {
      statements.push({ text: script.slice(start, end), line: firstLine + countLines(script, start) })
    }
    start = -1
    parentheses = 0
    words = []
    atomicDepth = 0
  }

  let at = 0
  while (at < script.length) {
    const space = spaceOrCommentEnd(script, at)
    if (space > at) {
      at = space
      continue
    }
    const character = script.charAt(at)
    if (character === ';' && parentheses <= 0 && atomicDepth === 0) {
      finish()
      at += 1
      continue
    }
    const next = tokenEnd(script, at)
    if (character === '(') parentheses += 1
    if (character === ')') parentheses -= 1
    if (isWordStart(character)) {
      const word = script.slice(at, next).toLowerCase()
      if (atomicDepth > 0) {
        if (word === 'begin' || word === 'case') atomicDepth += 1
        if (word === 'end') atomicDepth -= 1
      } else if (word === 'atomic' && words.at(-1) === 'begin' && isRoutine(words)) {
        atomicDepth = 1
      }
      words.push(word)
    }
    if (start < 0) start = at
    at = next
    end = next
  }
  finish()
  return statements
}

function isRoutine(words: string[]): boolean {
  const head = words.slice(0, 4)
  return head[0] === 'create' && (head.includes('function') || head.includes('procedure'))
}

/** Returns the end of the white space or comment that starts at `at`; `at` itself if there is none. */
function spaceOrCommentEnd(script: string, at: number): number {
  if (/\s/.test(script.charAt(at))) return at + 1
  if (script.startsWith('--', at)) {
    const end = script.indexOf('\n', at)
    return end < 0 ? script.length : end + 1
  }
  if (!script.startsWith('/*', at)) return at
  let depth = 0
  let cursor = at
  while (cursor < script.length) {
    if (script.startsWith('/*', cursor)) {
      depth += 1
      cursor += 2
    } else if (script.startsWith('*/', cursor)) {
      depth -= 1
      cursor += 2
      if (depth === 0) return cursor
    } else cursor += 1
  }
  return cursor
}

/** Returns the end of the token that starts here: a word, a quoted string, or a single character. */
function tokenEnd(script: string, at: number): number {
  const character = script.charAt(at)
  if (character === "'") return quotedEnd(script, at, false)
  if (character === '"') return quotedEnd(script, at, false)
  if (character === '$') {
    const tag = /^\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/u.exec(script.slice(at, at + 80))?.[0]
    if (tag === undefined) return at + 1
    const close = script.indexOf(tag, at + tag.length)
    return close < 0 ? script.length : close + tag.length
  }
  if (!isWordStart(character)) return at + 1
  let end = at + 1
  while (end < script.length && /[\p{L}\p{N}_$]/u.test(script.charAt(end))) end += 1
  if (end === at + 1 && /e/i.test(character) && script.charAt(end) === "'")
    return quotedEnd(script, end, true)
  return end
}

function quotedEnd(script: string, at: number, hasEscapes: boolean): number {
  const quote = script.charAt(at)
  let cursor = at + 1
  while (cursor < script.length) {
    if (hasEscapes && script.charAt(cursor) === '\\') cursor += 2
    else if (script.charAt(cursor) !== quote) cursor += 1
    else if (script.charAt(cursor + 1) === quote) cursor += 2
    else return cursor + 1
  }
  return script.length
}

function isWordStart(character: string): boolean {
  return /[\p{L}_]/u.test(character)
}

export function countLines(text: string, end = text.length): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}
