// The lines and the message that the demo worker writes, with their timing: acts of a few log lines and then
// words of the message.
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogType, TaskContext } from '#client/worker.ts'

interface Act {
  readonly lines: readonly (readonly [type: LogType, message: string])[]
  readonly words: string
}

const ACTS: readonly Act[] = [
  {
    lines: [
      ['info', 'claimed the task; the lease is a credential for this task alone'],
      ['command', '$ git clone https://github.com/example/analytical-engine'],
      ['info', '1,843 cards read'],
    ],
    words:
      'I have read the task, and I am writing this while you watch. Every few words leave my process as a delta with its ' +
      'offset, become a row in Postgres, and reach you as a server-sent event a moment later.\n\n',
  },
  {
    lines: [
      ['command', '$ npm ci'],
      ['info', 'nothing was installed: this is a demonstration'],
      ['command', '$ npm test'],
      ['error', '1 of 20 tests failed: B(7) is 0, expected -1/30'],
    ],
    words:
      'Stop your curl and start it again with the header last-event-id and the last id that you saw: the stream goes on ' +
      'behind it, and no event comes twice. 🏠🏘️🏠\n\n',
  },
  {
    lines: [
      ['info', 'B(8) was meant, since every odd one but the first is 0'],
      ['command', '$ npm test'],
      ['success', '20 tests passed'],
    ],
    words:
      'If you kill me now, another worker takes the task up when my lease has lapsed, and whatever I still say is refused. ' +
      'You let me finish, so I complete the task, and with it the streams come to their end.\n',
  },
]

/** Performs a task in about this many seconds. */
export async function perform({ task, signal, log, progress, message }: TaskContext, seconds: number) {
  const acts = ACTS.map(({ lines, words }) => ({ lines, words: words.match(/\S+\s*/g) ?? [] }))
  const beats = acts.reduce((sum, { lines, words }) => sum + lines.length + words.length, 0)
  const pauseMs = (seconds * 1_000) / beats
  const reply = message()
  let played = 0
  const beat = async () => {
    progress((100 * ++played) / beats)
    await sleep(pauseMs, undefined, { signal })
  }
  await reply.write(`About "${task.title}". `)
  for (const { lines, words } of acts) {
    for (const [type, line] of lines) {
      await log(type, line)
      await beat()
    }
    for (const word of words) {
      await reply.write(word)
      await beat()
    }
  }
  await reply.finish()
  return { words: acts.flatMap(({ words }) => words).length }
}
