import { initTRPC } from '@trpc/server'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { checkOutputs, withoutOutputParsing } from './outputs.ts'
import { appRouter } from './router.ts'

const t = initTRPC.create()
const schema = z.strictObject({ n: z.number() })
const answer = { n: 1, more: true }

function makeRouter() {
  const procedures = {
    get: t.procedure.output(schema).query(() => answer),
    nested: { set: t.procedure.output(schema).mutation(() => answer) },
    router: t.router(withoutOutputParsing({ get: t.procedure.output(schema).query(() => answer) })),
    undescribed: t.procedure.query(() => answer),
  }
  return t.router(withoutOutputParsing(procedures))
}

it('an answer is handed on as it is, however deep the procedure', async () => {
  const caller = makeRouter().createCaller({})
  for (const call of [caller.get, caller.nested.set, caller.router.get, caller.undescribed]) {
    expect(await call()).toBe(answer)
  }
})

it('an answer that its schema does not say fails where outputs are checked', async () => {
  const router = makeRouter()
  checkOutputs(router)
  checkOutputs(router)
  const caller = router.createCaller({})
  for (const [path, call] of Object.entries({
    get: caller.get,
    'nested.set': caller.nested.set,
    'router.get': caller.router.get,
  })) {
    await expect(call()).rejects.toThrow(`${path} answered what its output schema does not say`)
  }
  expect(await caller.undescribed()).toBe(answer)
})

it('every procedure describes its answer; a stream, its events by their type', () => {
  const procedures: Record<string, unknown> = appRouter._def.procedures
  const undescribed = Object.entries(procedures)
    .filter(([, procedure]) => {
      const { type, output } = (procedure as { _def: { type: string; output?: unknown } })._def
      return type !== 'subscription' && output === undefined
    })
    .map(([path]) => path)
  expect(undescribed).toEqual([])
})

it('no procedure of the server parses its answer in production', () => {
  const procedures: Record<string, unknown> = appRouter._def.procedures
  const parsing = Object.entries(procedures)
    .filter(([, procedure]) =>
      (procedure as { _def: { middlewares: object[] } })._def.middlewares.some(
        middleware => '_type' in middleware && middleware._type === 'output',
      ),
    )
    .map(([path]) => path)
  expect(Object.keys(procedures).length).toBeGreaterThan(100)
  expect(parsing).toEqual([])
})
