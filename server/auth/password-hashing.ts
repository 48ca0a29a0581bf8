// Hashing a password takes a core for a tenth of a second and 32 MiB. It runs in separate threads, on all
// cores but one and with lower priority than other work, for requests whose turn has come: PasswordTurns. No
// request holds a database connection meanwhile.

import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Piscina } from 'piscina'
import { PasswordTurns, type TurnLimits, type TurnWait } from './password-turns.ts'
import type { DeriveKey } from './password-worker.ts'

export const PASSWORD_LENGTH = Object.freeze({ min: 8, max: 128 })

/** The served endpoints that hash or verify a password. */
const HASHING = new Set([
  '/sign-up/email',
  '/sign-in/email',
  '/reset-password',
  '/change-password',
  '/two-factor/enable',
  '/two-factor/disable',
  '/two-factor/generate-backup-codes',
])

const MAX_THREADS = 8
const MAX_WAIT_MS = 5_000
const IDLE_THREAD_MS = 30_000
/**
 * About a third of the processor share of normal threads: callers hardly notice, and sign-ins continue under
 * any load.
 */
const NICENESS = 5

export interface PasswordHashing {
  hash(password: string): Promise<string>
  verify(stored: { readonly hash: string; readonly password: string }): Promise<boolean>
  /**
   * Runs the work of a request to this path when its turn comes; at once if the path hashes no password.
   * Throws PasswordsBusyError if that would take too long.
   */
  inTurn<T>(path: string, wait: TurnWait, work: () => Promise<T>): Promise<T>
  /** Hashes a new user's password before `work`, because the library would hash it inside a transaction. */
  hashingFirst<T>(path: string, input: unknown, work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

interface Turn {
  /** The password hashed before the library's call. */
  ahead?: { readonly password: string; readonly hash: Promise<string> }
}

/** Starts the threads with the first password. */
export function createPasswordHashing(limits: Partial<TurnLimits> = {}): PasswordHashing {
  const maxThreads = Math.max(1, Math.min(availableParallelism() - 1, MAX_THREADS))
  // Twice the threads, since a request also waits for the database before and after its hash.
  const turns = new PasswordTurns({ atOnce: 2 * maxThreads, maxWaitMs: MAX_WAIT_MS, ...limits })
  const turn = new AsyncLocalStorage<Turn>()
  let threads: Promise<Piscina<DeriveKey, string>> | undefined

  async function start(): Promise<Piscina<DeriveKey, string>> {
    const { Piscina } = await import('piscina')
    return new Piscina({
      filename: workerFile(),
      minThreads: 0,
      maxThreads,
      idleTimeout: IDLE_THREAD_MS,
      niceIncrement: NICENESS,
    })
  }

  /** A call that comes without a turn waits for one. */
  async function deriveKey(task: DeriveKey): Promise<string> {
    if (!turn.getStore()) return turns.take({}, () => turn.run({}, () => deriveKey(task)))
    threads ??= start()
    return (await threads).run(task)
  }

  async function createHash(password: string): Promise<string> {
    const salt = randomBytes(16).toString('hex')
    return `${salt}:${await deriveKey({ password, salt })}`
  }

  return {
    hash: password => {
      const ahead = turn.getStore()?.ahead
      return ahead?.password === password ? ahead.hash : createHash(password)
    },
    verify: async ({ hash, password }) => {
      const [salt, key] = hash.split(':')
      if (!salt || !key) throw new Error('a stored password is not a salt and a key')
      const derived = Buffer.from(await deriveKey({ password, salt }))
      const stored = Buffer.from(key)
      return derived.length === stored.length && timingSafeEqual(derived, stored)
    },
    inTurn: (path, wait, work) => (HASHING.has(path) ? turns.take(wait, () => turn.run({}, work)) : work()),
    hashingFirst: async (path, input, work) => {
      const current = turn.getStore()
      const password = path === '/sign-up/email' ? newPasswordOf(input) : null
      if (current && password !== null) {
        current.ahead = { password, hash: createHash(password) }
        await current.ahead.hash
      }
      return work()
    },
    close: async () => {
      await (await threads)?.close()
    },
  }
}

/** Null for a password that the library refuses without hashing. */
function newPasswordOf(input: unknown): string | null {
  if (typeof input !== 'object' || input === null || !('password' in input)) return null
  const { password } = input
  if (typeof password !== 'string') return null
  return password.length >= PASSWORD_LENGTH.min && password.length <= PASSWORD_LENGTH.max ? password : null
}

/** The built package has it as JavaScript. */
function workerFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./password-worker.${extension}`, import.meta.url).href
}
