import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { parseTimestamp } from './columns.ts'

const TIMESTAMPTZ = 1184
const parseAny = pg.types.getTypeParser(TIMESTAMPTZ, 'text')

/** Formats a time as Postgres does in UTC: a fraction without trailing zeros, or none. */
function written(date: Date, micros: number): string {
  const [day, time = ''] = date.toISOString().slice(0, -1).split('T')
  const fraction = `${time.slice(9)}${String(micros).padStart(3, '0')}`.replace(/0+$/, '')
  return `${day} ${time.slice(0, 8)}${fraction && `.${fraction}`}+00`
}

describe('a timestamp', () => {
  test('of any four-digit year is parsed to the millisecond', () => {
    const dates = fc.date({
      min: new Date('0000-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    })
    fc.assert(
      fc.property(dates, fc.nat(999), (date, micros) => {
        expect(parseTimestamp(written(date, micros))).toEqual(date)
      }),
      { numRuns: 2_000 },
    )
  })

  test.for([
    'infinity',
    '-infinity',
    '0044-03-15 12:00:00+00 BC',
    '12026-01-01 00:00:00+00',
    '2026-01-01 00:00:00+02',
  ])('such as %s is parsed by the general parser', text => {
    expect(parseTimestamp(text)).toEqual(parseAny(text))
  })
})
