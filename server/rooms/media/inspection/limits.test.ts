import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { mp3OfFrames } from '#server/testing/hostile-media.ts'
import { mp4File, pngFile, type SampleFile, textFile, wavFile } from '#server/testing/media.ts'
import { createInspections, type Inspections, type InspectionsOptions } from './inspections.ts'

const open: Inspections[] = []
afterEach(() => {
  for (const inspections of open.splice(0)) inspections.close()
})

function start(options: InspectionsOptions = {}) {
  const inspections = createInspections(options)
  open.push(inspections)
  return (
    { bytes, mimeType, mediaType }: SampleFile,
    { signal, userId = 'ada' }: { signal?: AbortSignal; userId?: string } = {},
  ) => {
    const read = async (from: number, to: number) => bytes.subarray(from, to)
    const file = { sizeBytes: bytes.length, mimeType, mediaType, read }
    return inspections.inspect(file, { userId, signal, onBegin: async () => {} })
  }
}

const OVERLOADED = { reason: 'overloaded', details: { retryAt: expect.any(Date) } }

describe('a file', () => {
  it('that needs too much CPU time fails, naming the limit', async () => {
    const inspect = start({ limits: { cpuMs: 0 } })
    // The watchdog checks a few times a second.
    const picture = await pngFile(7_000, 7_000)
    expect(await inspect(picture)).toEqual({
      problem: 'inspecting the file takes more than 0 seconds of CPU time',
    })
  })

  it('that needs too much memory fails, naming the limit', async () => {
    const inspect = start({ limits: { memoryBytes: 1024 ** 2 } })
    expect(await inspect(await pngFile(7_000, 7_000))).toEqual({
      problem: 'inspecting the file takes more than 1 MiB of memory',
    })
  })

  it('that matches its type and then fills the heap is valid, with unknown duration', async () => {
    const inspect = start({ limits: { heapBytes: 24 * 1024 ** 2, cpuMs: 60_000 } })
    expect(await inspect(mp4File(1_000))).toMatchObject({ durationSeconds: 5 })
    expect(await inspect(mp4File(2_000_000))).toMatchObject({ durationSeconds: null })
  })

  it('whose inspection times out can be tried again', async () => {
    const inspect = start({ limits: { wallMs: 100 } })
    await expect(inspect(mp3OfFrames(400_000))).rejects.toMatchObject(OVERLOADED)
  })

  it('whose caller leaves is not inspected to the end', async () => {
    const inspect = start({ limits: { cpuMs: 600_000, wallMs: 600_000 } })
    const controller = new AbortController()
    const inspection = inspect(mp3OfFrames(400_000), { signal: controller.signal })
    setTimeout(() => controller.abort(), 1_000)
    await expect(inspection).rejects.toThrow(/cancelled/)
  })

  it('whose store fails rejects with the store’s error', async () => {
    const inspections = createInspections()
    open.push(inspections)
    const read = () => Promise.reject(new Error('the disk is gone'))
    const file = { sizeBytes: 5, mimeType: 'text/plain', mediaType: 'document', read } as const
    const turn = { userId: 'ada', onBegin: async () => {} }
    await expect(inspections.inspect(file, turn)).rejects.toThrow('the disk is gone')
  })
})

it('a file does not wait for another user’s slow file', async () => {
  const inspect = start({ limits: { cpuMs: 600_000, wallMs: 600_000 } })
  const controller = new AbortController()
  const slow = Array.from({ length: 5 }, () =>
    inspect(mp3OfFrames(400_000), { signal: controller.signal }).catch(() => 'ended'),
  )
  expect(await inspect(wavFile(2), { userId: 'bob' })).toMatchObject({ durationSeconds: 2 })
  controller.abort()
  expect(await Promise.all(slow)).toEqual(Array(5).fill('ended'))
})

it('only the metadata of a large file is read', async () => {
  const inspections = createInspections({ limits: { cpuMs: 60_000, wallMs: 60_000 } })
  open.push(inspections)
  const sizeBytes = 5 * 1024 ** 3
  const head = mp4File().bytes.subarray(0, 32)
  // Endless empty boxes of 4 KiB.
  const box = Buffer.alloc(4_096)
  box.write('\0\0\x10\0free', 'latin1')
  const filling = Buffer.alloc(1024 ** 2 + box.length, box)
  let readBytes = 0
  const read = async (from: number, to: number) => {
    readBytes += to - from
    if (from === 0) return Buffer.concat([head, filling]).subarray(0, to)
    const phase = (from - head.length) % box.length
    return filling.subarray(phase, phase + to - from)
  }
  const file = { sizeBytes, mimeType: 'video/mp4', mediaType: 'video', read } as const
  await inspections.inspect(file, { userId: 'ada', onBegin: async () => {} })
  expect(readBytes).toBeGreaterThan(60 * 1024 ** 2)
  expect(readBytes).toBeLessThan(70 * 1024 ** 2)
})

it('many concurrent files are all inspected', async () => {
  const inspect = start()
  const found = await Promise.all(Array.from({ length: 120 }, () => inspect(textFile())))
  expect(found).toEqual(Array(120).fill(expect.objectContaining({ width: null })))
})

describe.runIf(process.platform === 'linux')('the inspecting process', () => {
  const children = async (parent: number | undefined = process.pid) => {
    const text = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')
    const commands = await Promise.all(
      text
        .trim()
        .split(' ')
        .map(async pid => ({ pid, command: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })),
    )
    return commands.filter(({ command }) => command.includes('inspection/child.')).map(({ pid }) => pid)
  }

  it('is reused, has none of the server’s environment, and ends with the server', async () => {
    const inspect = start()
    await inspect(textFile())
    const [first, ...others] = await children()
    await inspect(wavFile())
    expect(await children()).toEqual([first])
    expect(others).toEqual([])
    expect(await readFile(`/proc/${first}/environ`, 'utf8')).not.toMatch(/PATH|DATABASE|SECRET/)
    open[0]?.close()
    await expect.poll(() => children()).toEqual([])
  })

  it('is replaced after fifty files', async () => {
    const inspect = start()
    await inspect(textFile())
    const [first] = await children()
    for (let count = 1; count < 50; count++) await inspect(textFile())
    await inspect(textFile())
    const [second, ...others] = await children()
    expect(second).toMatch(/^\d+$/)
    expect(second).not.toBe(first)
    expect(others).toEqual([])
  })

  it('ends with a killed server, even during an inspection', async () => {
    const program = `
      const { createInspections } = await import(${JSON.stringify(new URL('./inspections.ts', import.meta.url).href)})
      const { mp3OfFrames } = await import(${JSON.stringify(new URL('../../../testing/hostile-media.ts', import.meta.url).href)})
      const { bytes, mimeType, mediaType } = mp3OfFrames(400_000)
      const read = async (from, to) => bytes.subarray(from, to)
      const inspections = createInspections({ limits: { cpuMs: 600_000, wallMs: 600_000 } })
      setTimeout(() => console.log('at it'), 4_000)
      await inspections.inspect({ sizeBytes: bytes.length, mimeType, mediaType, read }, { userId: 'x', onBegin: async () => {} })`
    const server = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(server.stdout, 'data')
    const [child = ''] = await children(server.pid)
    expect(child).toMatch(/^\d+$/)
    server.kill('SIGKILL')
    await once(server, 'exit')
    await expect.poll(() => existsSync(`/proc/${child}`), { timeout: 10_000 }).toBe(false)
  })

  it('ends when its caller leaves', async () => {
    const inspect = start({ limits: { cpuMs: 600_000, wallMs: 600_000 } })
    const controller = new AbortController()
    const inspection = inspect(mp3OfFrames(400_000), { signal: controller.signal }).catch(() => {})
    await expect.poll(async () => (await children()).length).toBe(1)
    controller.abort()
    await inspection
    // Sooner than the idle timeout.
    await expect.poll(() => children(), { timeout: 5_000 }).toEqual([])
  })
})
