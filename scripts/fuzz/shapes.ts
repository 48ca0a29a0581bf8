// JSON fragments that are meant to be slow to parse, check or refuse.

/** JSON text of about this many bytes. `sample` is a valid element, if the place is a list. */
export type Shape = (sizeBytes: number, sample: string) => string

/** Repeated to fill a text, as JSON escapes them. */
const FILLINGS: Readonly<Record<string, string>> = {
  letters: 'a',
  capitals: 'A',
  digits: '1',
  spaces: ' ',
  tabs: '\\t',
  'line breaks': '\\n',
  dots: '.',
  hyphens: '-',
  'letters and hyphens': 'a-',
  'letters and dots': 'a.',
  'dots and hyphens': '.-',
  'at signs': 'a@',
  'at signs and dots': '@.',
  slashes: '/',
  colons: ':',
  'percent signs': '%',
  'encoded letters': '%41',
  'encoded bytes': '%c3',
  quotes: '\\"',
  backslashes: '\\\\',
  brackets: '[',
  parentheses: '(',
  underscores: '_',
  emoji: '😀',
  'combining marks': 'e\u0301\u0316\u0301\u0316',
  ligatures: '\ufdfa',
  'dotted capitals': 'İ',
  'zero-width joiners': '\u200d',
  NULs: '\\u0000',
  'lone surrogates': '\\ud800',
  'escaped letters': '\\u0061',
  schemes: 'http://',
  commas: ',',
  semicolons: ';',
  'equals signs': '=',
  'loopback addresses': '127.0.0.1,',
}

/** Openings that pass the first part of a check; a `!` at the end makes a pattern backtrack. */
const OPENINGS: readonly string[] = [
  '',
  'https://',
  'https://a.b/',
  'a@',
  '1',
  '00000000-0000-4000-8000-000000000000',
]
const ENDINGS: readonly string[] = ['', '!']

function filled(opening: string, filling: string, ending: string): Shape {
  return sizeBytes => {
    const count = Math.max(0, sizeBytes - opening.length - ending.length - 2) / Buffer.byteLength(filling)
    return `"${opening}${filling.repeat(count)}${ending}"`
  }
}

const texts = Object.entries(FILLINGS).flatMap(([name, filling]) =>
  OPENINGS.flatMap(opening =>
    ENDINGS.map(ending => {
      const behind = opening === '' ? '' : ` behind "${opening}"`
      return [
        `${name}${behind}${ending === '' ? '' : ' before "!"'}`,
        filled(opening, filling, ending),
      ] as const
    }),
  ),
)

const list =
  (element: string): Shape =>
  sizeBytes =>
    `[${repeated(element, sizeBytes)}]`

const members =
  (nameOf: (index: number) => string, value: string): Shape =>
  sizeBytes => {
    const parts: string[] = []
    for (let length = 2, index = 0; length < sizeBytes; index++) {
      const part = `"${nameOf(index)}":${value}`
      parts.push(part)
      length += part.length + 1
    }
    return `{${parts.join(',')}}`
  }

function repeated(element: string, sizeBytes: number): string {
  const count = Math.max(1, Math.floor(sizeBytes / (Buffer.byteLength(element) + 1)))
  return `${`${element},`.repeat(count - 1)}${element}`
}

const NEST = 180

const structures: readonly (readonly [string, Shape])[] = [
  ['many elements that are taken', (sizeBytes, sample) => list(sample)(sizeBytes, sample)],
  ['many numbers', list('0')],
  ['many nulls', list('null')],
  ['many empty texts', list('""')],
  ['many empty lists', list('[]')],
  ['many empty objects', list('{}')],
  ['many names', members(index => `k${index}`, '0')],
  ['many names with texts', members(index => `k${index}`, '"a"')],
  ['many names with hyphens', members(index => `k-${index}`, '"a"')],
  ['many numbers for names', members(index => String(index), '0')],
  ['many large numbers for names', members(index => String(4_294_967_294 - index * 524_288), '0')],
  ['one name again and again', members(() => 'a', '0')],
  ['a prototype again and again', members(() => '__proto__', '{}')],
  ['nested lists', list(`${'['.repeat(NEST)}${']'.repeat(NEST)}`)],
  ['nested objects', list(`${'{"a":'.repeat(NEST)}0${'}'.repeat(NEST)}`)],
  ['nesting past the limit', sizeBytes => '['.repeat(sizeBytes)],
  ['a long number', sizeBytes => '9'.repeat(sizeBytes)],
  ['a long fraction', sizeBytes => `0.${'0'.repeat(sizeBytes)}1`],
  ['a long exponent', sizeBytes => `1e${'0'.repeat(sizeBytes)}1`],
  ['many fractions', list('0.1234567890123456789e-300')],
  ['white space', sizeBytes => ' '.repeat(sizeBytes)],
  ['an open text', sizeBytes => `"${'\\"'.repeat(sizeBytes / 2)}`],
  ['an open text of backslashes', sizeBytes => `"${'\\\\'.repeat(sizeBytes / 2)}\\"`],
]

export const SHAPES: readonly (readonly [name: string, shape: Shape])[] = [...structures, ...texts]

/** Texts of one filling for inputs that are not JSON: headers, addresses, tokens. */
export const PLAIN_FILLINGS: readonly (readonly [name: string, filling: string])[] = Object.entries(FILLINGS)
  .filter(([, filling]) => /^[\x21-\x7e ]+$/.test(filling))
  .map(([name, filling]) => [name, filling] as const)

/** Returns a text of at most this many bytes, from a generator that may be somewhat off. */
export function fitted(make: (sizeBytes: number) => string, sizeBytes: number): string {
  let text = make(Math.floor(sizeBytes))
  for (let attempt = 0, size = sizeBytes; attempt < 4 && Buffer.byteLength(text) > sizeBytes; attempt++) {
    size = Math.floor(((size * sizeBytes) / Buffer.byteLength(text)) * 0.97)
    text = make(size)
  }
  return text
}
