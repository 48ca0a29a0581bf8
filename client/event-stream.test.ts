import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEvents, type StreamEvent } from './event-stream.ts'

const STREAM = [
  ': a comment',
  'event: connected',
  'data: {}',
  '',
  '',
  'id: 7',
  'data: zwölf ☂',
  'data:  two lines',
  '',
  'retry: 250',
  'retry: soon',
  '',
  'event: restore-id',
  'data',
  'id: 8',
  'id: 9\0',
  '',
  'data: cut off',
]
const EVENTS: StreamEvent[] = [
  { type: 'connected', data: '{}', id: undefined, retryMs: undefined },
  { type: 'message', data: 'zwölf ☂\n two lines', id: '7', retryMs: undefined },
  { type: 'message', data: undefined, id: undefined, retryMs: 250 },
  { type: 'restore-id', data: '', id: '8', retryMs: undefined },
]

test('events are the same for every split into chunks and every kind of line break', async () => {
  const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
  const cuts = fc.array(fc.nat(200), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(lineEnd, cuts, async (end, at) => {
      const bytes = new TextEncoder().encode(STREAM.join(end))
      expect(await Array.fromAsync(readEvents(streamOf(bytes, at)))).toEqual(EVENTS)
    }),
  )
})

function streamOf(bytes: Uint8Array, cuts: number[]): ReadableStream<Uint8Array> {
  const edges = [0, ...cuts.filter(cut => cut < bytes.length).sort((a, b) => a - b), bytes.length]
  return new ReadableStream({
    start(controller) {
      for (const [index, edge] of edges.entries())
        controller.enqueue(bytes.subarray(edges[index - 1] ?? 0, edge))
      controller.close()
    },
  })
}
