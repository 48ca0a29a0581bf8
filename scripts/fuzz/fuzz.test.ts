import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningServer } from '#server/start.ts'
import { type House, openHouse } from '#server/testing/actors.ts'
import { startWebhookServer } from '#server/webhooks/fixture.ts'
import { attack, FUZZED_ENVIRONMENT, type FuzzedServer } from './house.ts'
import { isOver, LIMITS, type Measurement, measureTarget } from './measure.ts'
import { toTable, worstOfGroups } from './report.ts'
import { defineTarget, inTurns, randomOf } from './target.ts'
import { fuzzTargets } from './targets.ts'

let house: House
let server: RunningServer
let attacker: FuzzedServer
beforeAll(async () => {
  house = await openHouse()
  server = await startWebhookServer(house, FUZZED_ENVIRONMENT)
  attacker = attack(server.url)
})
afterAll(async () => {
  attacker.close()
  await server.stop()
  await house.close()
})

const options = () => ({ maxBytes: 128 * 1024, limits: { msPerKb: 0.5, blockMs: 60 }, random: randomOf(1) })

/** Limits far above the cost of these inputs, so that a busy machine does not fail the test. */
function isSlow({ cost, growth }: Measurement): boolean {
  return cost.cpuMs > 2_000 || (cost.cpuMs > 100 && growth > 3)
}

describe('an untrusted input', () => {
  it('costs time in proportion to its length', { timeout: 300_000 }, async () => {
    const all = inTurns(fuzzTargets(attacker), randomOf(1))
    const groups = new Set(all.map(({ group }) => group))
    const chosen = [
      ...all.filter(({ group }) => group.startsWith('superjson')),
      ...all.slice(0, 3 * groups.size),
    ]
    const slow: Measurement[] = []
    for (const target of new Set(chosen)) {
      const measurement = await measureTarget(target, options())
      if (isSlow(measurement)) slow.push(measurement)
    }
    expect(groups.size).toBeGreaterThan(100)
    expect(slow.length, toTable(worstOfGroups(slow, LIMITS))).toBe(0)
  })
})

describe('the measurement', () => {
  const busy = (turns: number) => {
    let sum = 0
    for (let turn = 0; turn < turns; turn++) sum += Math.sqrt(turn)
    return sum
  }
  const target = (run: (sizeBytes: number) => unknown) =>
    defineTarget({ group: 'a group', name: 'an attack', generate: sizeBytes => sizeBytes, run })

  it('finds a quadratic run', async () => {
    const measurement = await measureTarget(
      target(size => busy((size / 10) ** 2)),
      options(),
    )
    expect(isSlow(measurement)).toBe(true)
    expect(isOver(measurement, LIMITS)).toBe(true)
  })

  it('finds a block, even in a run that also waits', async () => {
    const waits = async () => {
      await new Promise(resolve => setTimeout(resolve, 5))
      const until = process.threadCpuUsage().user + 300_000
      while (process.threadCpuUsage().user < until) busy(1_000)
    }
    const { cost } = await measureTarget(target(waits), { ...options(), limits: LIMITS })
    expect(cost.blockMs).toBeGreaterThan(LIMITS.blockMs)
  })

  it('counts neither waiting nor an immediate refusal', async () => {
    const waits = async () => {
      await new Promise(resolve => setTimeout(resolve, 300))
      throw new Error('refused')
    }
    const { cost } = await measureTarget(target(waits), options())
    expect(cost.wallMs).toBeGreaterThan(290)
    expect(cost.cpuMs).toBeLessThan(150)
  })
})
