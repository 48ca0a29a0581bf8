/** Numbers from 0 up to 1, the same for the same seed. */
export type Random = () => number

export const MEBIBYTE = 1024 ** 2

/** Something that looks at bytes from outside, with a generator of inputs that are meant to be slow. */
export interface FuzzTarget {
  /** What is attacked, such as a procedure: a report has one line for each. */
  readonly group: string
  /** The attack, such as `spaces in prompt`. */
  readonly name: string
  /** The largest input that reaches the code. */
  readonly maxBytes: number
  /** Makes an input of about this size, unmeasured, and returns what runs it, measured. */
  prepare(sizeBytes: number, random: Random): () => unknown
}

export interface TargetDefinition<Input> {
  readonly group: string
  readonly name: string
  /** 1 MiB where it is left out. */
  readonly maxBytes?: number
  generate(sizeBytes: number, random: Random): Input
  /** May throw or reject, as a refusal does; a promise counts until it settles. */
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

/** All targets in random order, one of each group at a time: what is small has its turns as well. */
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
