import { describe, expect, it } from 'vitest'
import { Batch } from './batch.ts'

const batch = new Batch(
  4,
  7,
  [5, 6, 7].map(seq => ({ seq, data: `event ${seq}` })),
)

describe('a batch', () => {
  it.each([
    [0, [5, 6, 7]],
    [4, [5, 6, 7]],
    [5, [6, 7]],
    [6, [7]],
  ])('gives who has all up to %d what is behind, and nothing twice', (position, seqs) => {
    const part = batch.since(position)
    expect(part.events.map(({ seq }) => seq)).toEqual(seqs)
    expect(part.upTo).toBe(7)
    const text = part.body.toString()
    expect([...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))).toEqual(seqs)
  })

  it('is written once for all who get the whole of it', () => {
    expect(batch.since(4)).toBe(batch)
    expect(batch.chunk).toBe(batch.chunk)
    expect(batch.chunk.toString()).toBe(`${batch.body.length.toString(16)}\r\n${batch.body}\r\n`)
  })
})
