/** Deeper JSON than this is refused: what walks a value by recursion (superjson, zod, JSON.stringify) must not overflow. */
export const MAX_JSON_DEPTH = 200

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Whether arrays and objects nest deeper than the limit. Reads the text once and builds nothing; tolerates bad JSON. */
export function nestsTooDeep(text: string, maxDepth = MAX_JSON_DEPTH): boolean {
  // Each level takes an opening and a closing character, and a text that never closes is no JSON.
  if (text.length <= 2 * maxDepth) return false
  let depth = 0
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case QUOTE:
        index = endOfString(text, index)
        break
      case OPEN_BRACKET:
      case OPEN_BRACE:
        depth++
        if (depth > maxDepth) return true
        break
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth--
        break
    }
  }
  return false
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}
