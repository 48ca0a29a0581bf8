import { beforeEach, expect, test } from 'vitest'
import { recurringFailure } from './recurring-failure.ts'

let lines: [string, Record<string, unknown>, string][]
let at: number
let failure: ReturnType<typeof recurringFailure>

beforeEach(() => {
  lines = []
  at = 5_000
  const note = (level: string) => (fields: Record<string, unknown>, message: string) =>
    lines.push([level, fields, message])
  const log = { info: note('info'), warn: note('warn') } as unknown as Parameters<
    typeof recurringFailure
  >[0]['log']
  failure = recurringFailure({ log, message: 'looking failed', now: () => at })
})

const down = () => new Error('down')

test('an hour of failures every second is a line a minute, and one when it is over', () => {
  for (let second = 0; second < 3_600; second++) {
    failure.failed(down())
    at += 1_000
  }
  expect(lines).toHaveLength(60)
  expect(lines[0]).toEqual(['warn', { err: down() }, 'looking failed'])
  expect(lines[1]).toEqual(['warn', { err: down(), failures: 61, seconds: 60 }, 'looking failed'])
  lines = []
  failure.worked()
  failure.worked()
  expect(lines).toEqual([['info', { failures: 3_600, seconds: 3_600 }, 'over: looking failed']])
})

test('another failure is told of at once', () => {
  failure.failed(down())
  failure.failed(new Error('no such function'))
  failure.failed(new Error('no such function'))
  failure.failed(undefined)
  expect(lines.map(([, { err }]) => err)).toEqual([down(), new Error('no such function'), undefined])
})

test('what fails again after it worked is new', () => {
  for (let round = 0; round < 2; round++) {
    failure.failed(down())
    failure.failed(down())
    failure.worked()
  }
  expect(lines.map(([level, { failures }]) => [level, failures])).toEqual([
    ['warn', undefined],
    ['info', 2],
    ['warn', undefined],
    ['info', 2],
  ])
})

test('what works says nothing', () => {
  failure.worked()
  expect(lines).toEqual([])
})
