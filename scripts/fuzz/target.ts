/** Returns numbers from 0 up to 1, always the same for a seed. */
export type Random = () => number

export const MEBIBYTE = 1024 ** 2

/** Code that reads untrusted bytes, with a generator of inputs that are meant to be slow. */
export interface FuzzTarget {
  /** The attacked code, such as a procedure: the report has one line per group. */
  readonly group: string
  /** The attack, such as `spaces in prompt`. */
  readonly name: string
  /** The largest input that reaches the code. */
  readonly maxBytes: number
  /** Creates an input of about this size, unmeasured; returns the function to measure. */
  prepare(sizeBytes: number, random: Random): () => unknown
}

export interface TargetDefinition<Input> {
  readonly group: string
  readonly name: string
  /** 1 MiB by default. */
  readonly maxBytes?: number
  generate(sizeBytes: number, random: Random): Input
  /** May throw or reject for a refused input; a promise is measured until it settles. */
  run(input: Input): unknown
}

export function defineTarget<Input>(definition: TargetDefinition<Input>): FuzzTarget {
  const { group, name, maxBytes = MEBIBYTE, generate, run } = definition
  return {
    group,
    name,
    maxBytes,
    prepare(sizeBytes, random) {
      const input = generate(sizeBytes, random)
      return () => run(input)
    },
  }
}

/** Mulberry32: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
export function randomOf(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** All targets in random order, one of each group at a time, so that small groups are measured early. */
export function inTurns(targets: readonly FuzzTarget[], random: Random): FuzzTarget[] {
  const turns = new Map<string, number>()
  return targets
    .map(target => ({ target, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ target, order }) => {
      const turn = turns.get(target.group) ?? 0
      turns.set(target.group, turn + 1)
      return { target, order: turn + order }
    })
    .sort((a, b) => a.order - b.order)
    .map(({ target }) => target)
}
