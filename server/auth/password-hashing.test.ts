import { setTimeout as sleep } from 'node:timers/promises'
import { hashPassword, verifyPassword } from 'better-auth/crypto'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { StatementAbortedError } from '#server/db/errors.ts'
import { openFrontDoor } from '#server/testing/front-door.ts'
import { type AuthFixture, createAuthFixture, PASSWORD } from './fixture.ts'
import { createPasswordHashing } from './password-hashing.ts'
import { PasswordsBusyError, PasswordTurns } from './password-turns.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})
afterAll(() => fixture.close())

function openHashing(limits: Parameters<typeof createPasswordHashing>[0] = {}) {
  const hashing = createPasswordHashing(limits)
  onTestFinished(() => hashing.close())
  return hashing
}

describe('a stored password', () => {
  it('has the library’s own format, in both directions', async () => {
    const hashing = openHashing()
    // The same letters, composed and decomposed.
    const hash = await hashing.hash('cr\u00e8me br\u00fbl\u00e9e')
    expect(await verifyPassword({ hash, password: 'cre\u0300me bru\u0302le\u0301e' })).toBe(true)
    expect(await hashing.hash(PASSWORD)).not.toBe(await hashing.hash(PASSWORD))
    const theirs = await hashPassword(PASSWORD)
    expect(await hashing.verify({ hash: theirs, password: PASSWORD })).toBe(true)
    expect(await hashing.verify({ hash: theirs, password: `${PASSWORD}!` })).toBe(false)
  })
})

describe('a turn', () => {
  it('comes in order of arrival, for a limited number of requests at once', async () => {
    const turns = new PasswordTurns({ atOnce: 2, maxWaitMs: 60_000 })
    const order: number[] = []
    let running = 0
    const work = (n: number) => async () => {
      order.push(n)
      running += 1
      expect(running).toBeLessThanOrEqual(2)
      await sleep(1)
      running -= 1
    }
    await Promise.all(Array.from({ length: 20 }, (_, n) => turns.take({}, work(n))))
    expect(order).toEqual(Array.from({ length: 20 }, (_, n) => n))
  })

  it('is refused if it would come late, and each refusal has another time to retry', async () => {
    const turns = new PasswordTurns({ atOnce: 1, maxWaitMs: 2_000 })
    const held = Promise.withResolvers<void>()
    const admitted: Promise<unknown>[] = [turns.take({}, () => held.promise)]
    const refused: PasswordsBusyError[] = []
    const startedAt = Date.now()
    for (let n = 0; n < 100; n++) {
      const taken = turns.take({}, async () => {}).catch(error => refused.push(error))
      admitted.push(taken)
      await Promise.resolve()
    }
    await sleep(0)
    // A turn counts for 200 ms until one has been measured.
    expect(refused).toHaveLength(90)
    const times = refused.map(error => error.retryAt.getTime() - startedAt)
    expect(refused.every(error => error instanceof PasswordsBusyError)).toBe(true)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(new Set(times).size).toBeGreaterThan(80)
    expect(Math.max(...times)).toBeLessThan(60_500)
    held.resolve()
    await Promise.all(admitted)
  })

  it('is also refused if it unexpectedly does not come', async () => {
    const turns = new PasswordTurns({ atOnce: 1, maxWaitMs: 200 })
    const held = Promise.withResolvers<void>()
    const first = turns.take({}, () => held.promise)
    await expect(turns.take({}, async () => {})).rejects.toThrow(PasswordsBusyError)
    held.resolve()
    await first
    expect(await turns.take({}, async () => 'next')).toBe('next')
  })

  it('that failed frees its slot', async () => {
    const turns = new PasswordTurns({ atOnce: 1, maxWaitMs: 60_000 })
    const failing = turns.take({}, async () => {
      throw new Error('failed')
    })
    const next = turns.take({}, async () => 'next')
    await expect(failing).rejects.toThrow('failed')
    expect(await next).toBe('next')
  })

  it('is skipped for a caller that aborted, and the wait takes no capacity', async () => {
    const turns = new PasswordTurns({ atOnce: 1, maxWaitMs: 60_000 })
    const held = Promise.withResolvers<void>()
    const first = turns.take({}, () => held.promise)
    const left = new AbortController()
    let aside = 0
    const leaving = turns.take(
      {
        signal: left.signal,
        aside: async wait => {
          aside += 1
          return wait().finally(() => {
            aside -= 1
          })
        },
      },
      async () => expect.unreachable(),
    )
    const next = turns.take({}, async () => 'next')
    expect(aside).toBe(1)
    left.abort()
    await expect(leaving).rejects.toThrow(StatementAbortedError)
    expect(aside).toBe(0)
    held.resolve()
    await first
    expect(await next).toBe('next')
  })
})

describe('hashing', () => {
  it('holds no database connection, neither for a sign-up nor for a sign-in', async () => {
    const hashing = openHashing({ atOnce: 20 })
    const auth = fixture.another({ hashing })
    const { authPool } = fixture
    const account = { email: 'held@example.com', password: PASSWORD }
    await fixture.call('POST', '/sign-in/email', { auth, body: account })
    for (const path of ['/sign-up/email', '/sign-in/email']) {
      let isThreadFree = false
      // Longer than the rest of the request takes; the threads work in order of arrival.
      const busy = hashing.inTurn('/sign-in/email', {}, () =>
        Promise.all(Array.from({ length: 24 }, () => hashing.hash('another password'))),
      )
      void busy.then(() => {
        isThreadFree = true
      })
      const answer = fixture.call('POST', path, { auth, body: { ...account, name: 'Held' } })
      const inUse: number[] = []
      while (!isThreadFree) {
        inUse.push(authPool.totalCount - authPool.idleCount)
        await sleep(5)
      }
      // Samples neither the time when the request reads the account, nor the time after its hash is done on
      // another thread.
      const midst = inUse.slice(Math.floor(inUse.length * 0.6), Math.floor(inUse.length * 0.8))
      expect(new Set(midst)).toEqual(new Set([0]))
      expect((await answer).status).toBe(200)
    }
  })

  it('is refused on every endpoint that hashes once too many passwords wait', async () => {
    const hashing = openHashing({ atOnce: 1, maxWaitMs: 1 })
    const auth = fixture.another({ hashing })
    const ada = await fixture.signUp('ada@example.com')
    const held = Promise.withResolvers<void>()
    const taken = hashing.inTurn('/sign-in/email', {}, () => held.promise)
    const { token } = ada
    const bodies = {
      '/sign-up/email': { email: 'new@example.com', password: PASSWORD, name: 'New' },
      '/sign-in/email': { email: ada.email, password: PASSWORD },
      '/reset-password': { newPassword: PASSWORD, token: 'x' },
      '/change-password': { currentPassword: PASSWORD, newPassword: 'another password' },
      '/two-factor/enable': { password: PASSWORD },
      '/two-factor/disable': { password: PASSWORD },
      '/two-factor/generate-backup-codes': { password: PASSWORD },
    }
    for (const [path, body] of Object.entries(bodies)) {
      const answer = await fixture.call('POST', path, { auth, token, body })
      expect([path, answer.status, answer.body]).toEqual([
        path,
        503,
        {
          code: 'SERVICE_UNAVAILABLE',
          reason: 'overloaded',
          message: expect.any(String),
          retryAt: expect.stringMatching(/^\d{4}-/),
        },
      ])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
    // The same call as account.remove makes.
    await expect(auth.verifyPassword(ada.userId, PASSWORD)).rejects.toThrow(PasswordsBusyError)
    // Requests without hashing still work.
    expect((await fixture.call('GET', '/get-session', { auth, token })).status).toBe(200)
    held.resolve()
    await taken
    expect(await auth.verifyPassword(ada.userId, PASSWORD)).toBe(true)
  })
})

describe('400 sign-ups and sign-ins at once', () => {
  it('are all served or refused early, and do not block other requests', { timeout: 180_000 }, async () => {
    const door = await openFrontDoor()
    onTestFinished(() => door.close())
    const ada = await door.signUp('Ada')
    const post = async (path: string, body: object) => {
      const startedAt = performance.now()
      const response = await fetch(`${door.url}/api/auth${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ password: PASSWORD, ...body }),
      })
      await response.text()
      return {
        status: response.status,
        retryAfter: Number(response.headers.get('retry-after')),
        ms: performance.now() - startedAt,
      }
    }
    const calls = Array.from({ length: 200 }, (_, n) => [
      post('/sign-up/email', { email: `many-${n}@example.com`, name: 'Many' }),
      post('/sign-in/email', { email: ada.email }),
    ]).flat()
    let isOver = false
    const all = Promise.all(calls).finally(() => {
      isOver = true
    })
    const others: number[] = []
    while (!isOver) {
      others.push((await ada.query('account.me')).status)
      await sleep(20)
    }
    const answers = await all
    expect(new Set(others)).toEqual(new Set([200]))
    const served = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status === 503)
    expect(served.length + refused.length).toBe(400)
    expect(served.length).toBeGreaterThan(3)
    expect(refused.every(({ retryAfter }) => retryAfter >= 1 && retryAfter <= 61)).toBe(true)
    // Refused requests do not wait for it.
    const slowest = Math.max(...served.map(({ ms }) => ms))
    expect(Math.max(...refused.map(({ ms }) => ms))).toBeLessThan(slowest)
  })
})
