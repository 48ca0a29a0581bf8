import { expect, test } from 'vitest'
import { takeTurn } from './turns.ts'

test('a process tests 32 connectors at once over all users, and another one after one ended', () => {
  const turns = Array.from({ length: 32 }, (_, index) => takeTurn(`user ${index % 8}`))
  expect(() => takeTurn('another user')).toThrow('too many connectors are being tested')
  turns.pop()?.()
  turns.push(takeTurn('another user'))
  expect(() => takeTurn('yet another user')).toThrow('too many connectors are being tested')
  for (const giveBack of turns) giveBack()
  const four = Array.from({ length: 4 }, () => takeTurn('user 0'))
  expect(() => takeTurn('user 0')).toThrow('too many connectors are being tested')
  for (const giveBack of four) giveBack()
})
