import { z } from 'zod'

export type Environment = Readonly<Record<string, string | undefined>>

/** Every problem of a configuration in one message; it names variables and never holds a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`
    super(`The configuration has ${count}:\n${problems.map(problem => `  ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** How a variable's value must look, in words that follow its name. */
export interface Rule<T> {
  readonly schema: z.core.$ZodType<T>
  readonly must: string
  readonly example: string
  /** A secret's value is left out of the message. */
  readonly isSecret?: boolean
}

/** Reads variables one by one and collects what is wrong with them, so that all of it can be reported at once. */
export class ConfigReader {
  readonly #env: Environment
  readonly #problems: string[] = []

  constructor(env: Environment) {
    this.#env = env
  }

  /** The variable's text; one that is empty or blank counts as absent. */
  text(name: string): string | undefined {
    return this.#env[name]?.trim() || undefined
  }

  /** The variable's value by its rule; undefined when it is absent or wrong. */
  read<T>(name: string, { schema, must, example, isSecret = false }: Rule<T>): T | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const result = z.safeParse(schema, text)
    if (result.success) return result.data
    this.refuse(name, `must be ${must}${isSecret ? '' : `, not "${text}"`}`, example)
    return undefined
  }

  /** Two variables that only make sense together; one alone is a problem that names the other. */
  readPair(first: string, second: string): readonly [string, string] | undefined {
    const values = [this.text(first), this.text(second)] as const
    if (values[0] !== undefined && values[1] !== undefined) return [values[0], values[1]]
    if (values[0] !== undefined) this.refuse(second, `is missing, and ${first} is set`, '…')
    if (values[1] !== undefined) this.refuse(first, `is missing, and ${second} is set`, '…')
    return undefined
  }

  refuse(name: string, problem: string, example: string): void {
    this.reject(name, `${problem}. Example: ${name}=${example}`)
  }

  /** The same for a variable of which no value would be right. */
  reject(name: string, problem: string): void {
    this.#problems.push(`${name} ${problem}`)
  }

  /** Which of two names of one variable is set. Two different values are a problem that names both. */
  nameOf(name: string, alias: string, isSame = (value: string, other: string) => value === other): string {
    const [value, other] = [this.text(name), this.text(alias)]
    if (value !== undefined && other !== undefined && !isSame(value, other)) {
      this.reject(
        alias,
        `and ${name} are two names of one variable and say different things: set one of them`,
      )
    }
    return value === undefined && other !== undefined ? alias : name
  }

  /** Throws ConfigError when anything was refused so far. */
  finish(): void {
    if (this.#problems.length > 0) throw new ConfigError(this.#problems)
  }
}

/** A whole number between two bounds, written in digits only. */
export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine(value => value >= min && value <= max)
}

export const flag: Rule<boolean> = {
  schema: z.enum(['true', 'false', '1', '0']).transform(text => text === 'true' || text === '1'),
  must: 'true or false',
  example: 'true',
}

/** An http or https address without a path, as browsers write an origin. */
export const origin = z.string().transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : null
  const isBare = url?.pathname === '/' && !url.search && !url.hash && !url.username && !url.password
  if (url && isBare && /^https?:$/.test(url.protocol)) return url.origin
  context.addIssue({ code: 'custom', message: 'not an origin' })
  return z.NEVER
})
