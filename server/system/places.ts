import { randomUUID } from 'node:crypto'
import { AppError } from '#server/rpc/errors.ts'
import type { SystemDatabase } from './system.ts'

/** The limits of one user over all processes. */
export interface PlaceLimits {
  readonly streams: number
  readonly uploads: number
  readonly exports: number
}

type PlaceKind = keyof PlaceLimits

export const DEFAULT_PLACE_LIMITS: PlaceLimits = Object.freeze({ streams: 100, uploads: 16, exports: 1 })

export interface Places {
  /**
   * Takes one of a user's places. Returns an idempotent function that returns it. Throws `rate_limited` if
   * the user already holds as many as allowed.
   */
  take(kind: PlaceKind, userId: string): Promise<() => void>
  /** Returns all places of this process. Idempotent. */
  close(): Promise<void>
}

export interface PlacesOptions {
  readonly system: Pick<SystemDatabase, 'holdPlaces'>
  readonly limits?: Partial<PlaceLimits>
}

/** Less than half the lifetime of an announcement. */
const RENEW_MS = 10_000
/** The delay after which other processes learn that a place is free. */
const RETURN_MS = 250
const MAX_BATCH = 100
const RETRY_MS = 5_000

const NOUNS: Readonly<Record<PlaceKind, string>> = Object.freeze({
  streams: 'open streams',
  uploads: 'running uploads',
  exports: 'running exports',
})

interface Holder {
  readonly name: string
  readonly kind: PlaceKind
  held: number
  waiting: PromiseWithResolvers<void>[]
  /** True if other processes know an older number. */
  isChanged: boolean
}

/**
 * Counts the places that users hold in this process, and announces them to other processes. Taking a place
 * waits for one statement, which concurrent calls share; returning one waits for nothing. Connects to the
 * database only when the first place is taken.
 */
export function createPlaces({ system, limits }: PlacesOptions): Places {
  const most: PlaceLimits = { ...DEFAULT_PLACE_LIMITS, ...limits }
  const processId = randomUUID()
  const holders = new Map<string, Holder>()
  let renewing: NodeJS.Timeout | undefined
  let returning: NodeJS.Timeout | undefined
  let working: Promise<void> | undefined
  let isAnnouncing = false
  let isClosed = false

  /** One statement at a time, so that no statement announces an outdated number. */
  function work(): Promise<void> {
    working ??= workOff()
    return working
  }

  async function workOff(): Promise<void> {
    // Concurrent calls share the statement.
    await null
    for (;;) {
      const all = [...holders.values()]
      const taking = all.filter(({ waiting }) => waiting.length > 0).slice(0, MAX_BATCH)
      if (taking.length > 0) {
        await takeFor(taking)
        continue
      }
      const changed = isAnnouncing ? all.filter(({ isChanged }) => isChanged).slice(0, MAX_BATCH) : []
      if (changed.length === 0 || !(await announce(changed))) break
    }
    isAnnouncing = false
    working = undefined
    for (const { name, held, isChanged } of [...holders.values()]) {
      if (held === 0 && !isChanged) holders.delete(name)
    }
    if (holders.size > 0) return
    clearInterval(renewing)
    renewing = undefined
  }

  async function takeFor(taking: readonly Holder[]): Promise<void> {
    const batch = taking.map(holder => ({ holder, waiting: holder.waiting }))
    for (const { holder } of batch) holder.waiting = []
    const names = taking.map(({ name }) => name)
    const counts = batch.map(({ holder, waiting }) => holder.held + waiting.length)
    try {
      const others = new Map(await system.holdPlaces(processId, names, { counts, isTaking: true }))
      for (const { holder, waiting } of batch) {
        for (const { resolve, reject } of waiting) {
          if (holder.held + (others.get(holder.name) ?? 0) < most[holder.kind]) {
            holder.held++
            resolve()
          } else {
            // It was announced as taken, and must not block callers of other processes.
            holder.isChanged = true
            isAnnouncing = true
            reject(noPlace(holder.kind, most[holder.kind]))
          }
        }
      }
    } catch (error) {
      for (const { holder, waiting } of batch) {
        announceSoon(holder)
        for (const { reject } of waiting) reject(error)
      }
    }
  }

  /** False for a failure, which the next renewal corrects; until then, the announcement expires by itself. */
  async function announce(changed: readonly Holder[]): Promise<boolean> {
    for (const holder of changed) holder.isChanged = false
    const names = changed.map(({ name }) => name)
    const counts = changed.map(({ held }) => held)
    try {
      await system.holdPlaces(processId, names, { counts, isTaking: false })
      return true
    } catch {
      for (const holder of changed) holder.isChanged = true
      return false
    }
  }

  function announceNow(): Promise<void> {
    returning = undefined
    isAnnouncing = true
    return work()
  }

  function announceSoon(holder: Holder): void {
    holder.isChanged = true
    if (!isClosed) returning ??= setTimeout(() => void announceNow(), RETURN_MS).unref()
  }

  function renew(): void {
    for (const holder of holders.values()) holder.isChanged = true
    void announceNow()
  }

  return {
    async take(kind, userId) {
      if (isClosed) throw new AppError('overloaded', 'the server is stopping; try again')
      const name = `${kind}:${userId}`
      const holder = holders.get(name) ?? { name, kind, held: 0, waiting: [], isChanged: false }
      holders.set(name, holder)
      renewing ??= setInterval(renew, RENEW_MS).unref()
      const place = Promise.withResolvers<void>()
      holder.waiting.push(place)
      void work()
      await place.promise
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        holder.held--
        announceSoon(holder)
      }
    },
    async close() {
      if (isClosed) return
      isClosed = true
      clearInterval(renewing)
      clearTimeout(returning)
      for (const holder of holders.values()) holder.held = 0
      await working
      if (holders.size > 0) renew()
      await working
    },
  }
}

function noPlace(kind: PlaceKind, limit: number): AppError {
  const message = `this user has ${limit} ${NOUNS[kind]}, the maximum: end one first`
  return new AppError('rate_limited', message, { retryAt: new Date(Date.now() + RETRY_MS) })
}
