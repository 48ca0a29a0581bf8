import { describe, expect, it } from 'vitest'
import { rowsOfPage, toNumberedPage, toPage } from './pagination.ts'

describe('a page', () => {
  it('ends at its limit if one more row was read', () => {
    expect(toPage(['c', 'b', 'a'], 2, row => row)).toEqual({ items: ['c', 'b'], nextCursor: 'b' })
    expect(toPage(['c', 'b'], 2, row => row)).toEqual({ items: ['c', 'b'], nextCursor: null })
    expect(toPage([], 2, row => row)).toEqual({ items: [], nextCursor: null })
  })

  it('by number has its rows and the total, which is counted separately if no row carries it', async () => {
    expect(rowsOfPage({ page: 1, pageSize: 20 })).toEqual({ limit: 20, offset: 0 })
    expect(rowsOfPage({ page: 3, pageSize: 20 })).toEqual({ limit: 20, offset: 40 })
    const rows = [{ name: 'a', total: 7 }]
    const never = () => Promise.reject(new Error('not asked'))
    expect(await toNumberedPage(rows, row => row.name, never)).toEqual({ items: ['a'], total: 7 })
    expect(await toNumberedPage([], String, async () => 7)).toEqual({ items: [], total: 7 })
  })
})
