import { type FuzzTarget, type Random, randomOf } from './target.ts'

/** The cost of one input for this process's main thread. */
interface Cost {
  readonly cpuMs: number
  /** The longest time between two turns of a timer: nothing else was served meanwhile. */
  readonly blockMs: number
  /** From start to answer, including waiting. */
  readonly wallMs: number
}

const TICK_MS = 1

/**
 * Runs an input. Measures this thread's processor time, not the clock, so that a busy machine changes
 * nothing. Other threads and processes do not block the event loop, and do not count.
 */
async function measureCost(run: () => unknown): Promise<Cost> {
  let blockMs = 0
  let last = threadMs()
  const tick = () => {
    const now = threadMs()
    blockMs = Math.max(blockMs, now - last)
    last = now
  }
  const timer = setInterval(tick, TICK_MS)
  const startedAt = performance.now()
  const started = threadMs()
  try {
    await run()
  } catch {
    // Most of these inputs are refused, as intended.
  }
  tick()
  clearInterval(timer)
  return { cpuMs: threadMs() - started, blockMs, wallMs: performance.now() - startedAt }
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** A target's cost at one size and at half of it. */
export interface Measurement {
  readonly group: string
  readonly name: string
  readonly sizeBytes: number
  readonly cost: Cost
  readonly msPerKb: number
  /** The cost divided by the cost at half the size: 2 if linear, 4 if quadratic. */
  readonly growth: number
}

export interface Limits {
  readonly msPerKb: number
  readonly blockMs: number
}

/** The limits of every target, on an otherwise idle machine. */
export const LIMITS: Limits = { msPerKb: 1, blockMs: 200 }

/** A short input costs as much as any request: below this, time per byte means nothing. */
const LEAST_CPU_MS = 20
const ATTEMPTS = 3

export interface MeasureOptions {
  readonly maxBytes: number
  readonly limits: Limits
  readonly random: Random
}

/**
 * Measures a target at its largest size, and again if it is over a limit, which garbage collection may cause.
 */
export async function measureTarget(target: FuzzTarget, options: MeasureOptions): Promise<Measurement> {
  const { limits, random } = options
  const sizeBytes = Math.min(target.maxBytes, options.maxBytes)
  const seed = Math.floor(random() * 2 ** 32)
  const half = await leastCost(target, { ...options, seed, sizeBytes: sizeBytes / 2 })
  const cost = await leastCost(target, { ...options, limits, seed, sizeBytes })
  return {
    group: target.group,
    name: target.name,
    sizeBytes,
    cost,
    msPerKb: perKb(cost, sizeBytes),
    growth: cost.cpuMs / Math.max(half.cpuMs, 0.1),
  }
}

export function isOver(
  { cost, sizeBytes }: Pick<Measurement, 'cost' | 'sizeBytes'>,
  limits: Limits,
): boolean {
  return perKb(cost, sizeBytes) > limits.msPerKb || cost.blockMs > limits.blockMs
}

async function leastCost(
  target: FuzzTarget,
  { seed, sizeBytes, limits }: { seed: number; sizeBytes: number; limits: Limits },
): Promise<Cost> {
  let least: Cost | undefined
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const cost = await measureCost(target.prepare(Math.floor(sizeBytes), randomOf(seed)))
    if (least === undefined || cost.cpuMs < least.cpuMs) least = cost
    if (!isOver({ cost: least, sizeBytes }, limits)) break
  }
  return least as Cost
}

function perKb({ cpuMs }: Cost, sizeBytes: number): number {
  return cpuMs < LEAST_CPU_MS ? 0 : cpuMs / (sizeBytes / 1_000)
}
