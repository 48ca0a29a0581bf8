import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { create, ended, gate, openWorkshop, sleep, type Workshop } from './worker-fixture.ts'

let workshop: Workshop

beforeAll(async () => {
  workshop = await openWorkshop()
})
afterAll(() => workshop.close())

describe.concurrent('stopping', () => {
  test('lets running handlers finish and claims no more', async () => {
    const setting = await workshop.newOwner()
    const ids = [await create(setting), await create(setting)]
    const begun = gate()
    const { worker } = workshop.startWorker(
      setting.token,
      async ({ signal }) => {
        begun.open()
        await sleep(300)
        return signal.aborted
      },
      { drainMs: 5_000 },
    )
    await begun.opened
    await worker.stop()
    await worker.done
    const tasks = await Promise.all(ids.map(id => setting.client.tasks.get.query({ id })))
    expect(tasks).toMatchObject([{ status: 'completed', result: false }, { status: 'pending' }])
  })

  test('leaves a task that takes too long to another worker', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    const begun = gate()
    const { worker, errors } = workshop.startWorker(setting.token, async ({ signal }) => {
      begun.open()
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await begun.opened
    await worker.stop()
    expect(errors).toMatchObject([{ message: 'the worker stopped before the task was done' }])
    expect(await setting.client.tasks.get.query({ id })).toMatchObject({ status: 'processing', error: null })
    await workshop.owner.query(`update app.task_leases set expires_at = now() where task_id = $1`, [id])
    workshop.startWorker(setting.token, () => 'by the second')
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: 'by the second' })
  })

  test('does not wait for a handler that ignores its signal', async () => {
    const setting = await workshop.newOwner()
    await create(setting)
    const begun = gate()
    const { worker, errors } = workshop.startWorker(setting.token, () => {
      begun.open()
      return new Promise(() => {})
    })
    await begun.opened
    await worker.stop()
    expect(errors).toMatchObject([{ message: expect.stringContaining('did not return') }])
  })

  test('works without pending tasks, also by a signal', async () => {
    const { token } = await workshop.newOwner()
    const stopping = new AbortController()
    const { worker } = workshop.startWorker(token, () => {}, { signal: stopping.signal })
    stopping.abort()
    await worker.done
    const late = workshop.startWorker(token, () => {}, { signal: AbortSignal.abort() })
    await late.worker.done
  })

  test('leaves no listener behind on the process', async () => {
    const { token } = await workshop.newOwner()
    const before = process.listenerCount('SIGTERM')
    const { worker } = workshop.startWorker(token, () => {}, { stopOnSignals: true })
    expect(process.listenerCount('SIGTERM')).toBe(before + 1)
    await worker.stop()
    expect(process.listenerCount('SIGTERM')).toBe(before)
  })
})
