type Fields = { readonly [field: string]: unknown }

/** Answers one top-level field from its arguments; a text is the complaint about them. */
export type Resolvers = { readonly [field: string]: (parameters: Fields) => Fields | string }

interface Selection {
  readonly alias: string
  readonly name: string
  readonly parameters: Fields
  readonly selections: readonly Selection[] | null
}

class GraphqlFault extends Error {}

/**
 * Answers a query document with what it selects and no more. An unknown field, a missing fragment or a syntax
 * error is an error, as it is where a schema says so. It knows the part of the language that clients of lists
 * need: arguments, variables, aliases and fragments.
 */
export function resolveGraphql(
  document: string,
  variables: unknown,
  resolvers: Resolvers,
): { data: Fields } | { error: string } {
  try {
    const selections = parse(document, isObject(variables) ? variables : {})
    const data = selections.map(selection => {
      const resolver = resolvers[selection.name]
      if (!resolver) throw new GraphqlFault(`Cannot query field "${selection.name}" on type "Query".`)
      const value = resolver(selection.parameters)
      if (typeof value === 'string') throw new GraphqlFault(value)
      return [selection.alias, pick(value, selection)] as const
    })
    return { data: Object.fromEntries(data) }
  } catch (error) {
    if (error instanceof GraphqlFault) return { error: error.message }
    throw error
  }
}

function pick(value: unknown, { name, selections }: Selection): unknown {
  if (Array.isArray(value))
    return value.map(item => pick(item, { alias: name, name, parameters: {}, selections }))
  if (!isObject(value)) return value
  if (!selections) throw new GraphqlFault(`Field "${name}" must have a selection of subfields.`)
  return Object.fromEntries(
    selections.map(selection => {
      if (selection.name === '__typename') return [selection.alias, name]
      if (!(selection.name in value))
        throw new GraphqlFault(`Cannot query field "${selection.name}" on "${name}".`)
      return [selection.alias, pick(value[selection.name], selection)]
    }),
  )
}

function parse(document: string, variables: Fields): readonly Selection[] {
  const tokens =
    document.replace(/#.*/g, '').match(/\.\.\.|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|-?\d+(?:\.\d+)?|[^\s,]/g) ?? []
  const fragments = new Map<string, number>()
  let operation: number | null = null
  let at = 0

  const take = (expected?: string): string => {
    const token = tokens[at]
    if (token === undefined || (expected !== undefined && token !== expected)) {
      throw new GraphqlFault(`Syntax Error: Expected ${expected ?? 'more'}, found ${token ?? '<EOF>'}.`)
    }
    at += 1
    return token
  }
  const skipTo = (closing: string, opening: string): void => {
    let depth = 0
    do {
      const token = take()
      if (token === opening) depth += 1
      if (token === closing) depth -= 1
    } while (depth > 0)
  }

  while (at < tokens.length) {
    const kind = tokens[at]
    if (kind === 'fragment') {
      take()
      fragments.set(take(), at)
    } else if (operation === null && (kind === '{' || kind === 'query')) {
      operation = at
    } else {
      throw new GraphqlFault(`Syntax Error: Unexpected "${kind}".`)
    }
    while (tokens[at] !== '{') take()
    skipTo('}', '{')
  }
  if (operation === null) throw new GraphqlFault('Must provide a query string.')

  const value = (): unknown => {
    const token = take()
    if (token === '$') return variables[take()]
    if (token.startsWith('"')) return JSON.parse(token)
    if (token === 'true' || token === 'false') return token === 'true'
    if (token === 'null') return null
    return /^-?\d/.test(token) ? Number(token) : token
  }
  const parameters = (): Fields => {
    if (tokens[at] !== '(') return {}
    take('(')
    const found: Record<string, unknown> = {}
    while (tokens[at] !== ')') {
      const name = take()
      take(':')
      found[name] = value()
    }
    take(')')
    return found
  }
  const selectionSet = (): Selection[] => {
    take('{')
    const found: Selection[] = []
    while (tokens[at] !== '}') {
      if (tokens[at] === '...') found.push(...spread())
      else found.push(field())
    }
    take('}')
    return found
  }
  const field = (): Selection => {
    const first = take()
    const isAliased = tokens[at] === ':'
    if (isAliased) take(':')
    const name = isAliased ? take() : first
    const given = parameters()
    return { alias: first, name, parameters: given, selections: tokens[at] === '{' ? selectionSet() : null }
  }
  const spread = (): Selection[] => {
    take('...')
    if (tokens[at] === '{') return selectionSet()
    if (tokens[at] === 'on') {
      take()
      take()
      return selectionSet()
    }
    const name = take()
    const start = fragments.get(name)
    if (start === undefined) throw new GraphqlFault(`Unknown fragment "${name}".`)
    const back = at
    at = start
    while (tokens[at] !== '{') take()
    const found = selectionSet()
    at = back
    return found
  }

  at = operation
  while (tokens[at] !== '{') take()
  return selectionSet()
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
