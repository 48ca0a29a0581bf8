import { isRowhouseError } from './errors.ts'
import type { RowhouseClient } from './index.ts'
import { cleanText, createPump, cutAt, isHighSurrogate, quietly } from './pump.ts'
import { persist } from './retries.ts'

/** An agent's message, which readers see as it is written. */
export interface MessageWriter {
  /** Resolves once the buffer has room, possibly before the text is written. */
  write(text: string): Promise<void>
  /** Writes the remaining text and finishes the message. Throws the error of a failed write. */
  finish(): Promise<void>
}

export interface MessageOptions {
  /** The client with the lease as its credential. */
  readonly client: RowhouseClient
  readonly task: { readonly id: string }
  /** Aborted when the lease is over. */
  readonly signal: AbortSignal
}

export interface TaskMessage extends MessageWriter {
  /** Writes the remaining text, and leaves the message unfinished. */
  settle(): Promise<void>
}

const DELAY_MS = 50
const MAX_DELTA = 16 * 1024
const CAPACITY = 4 * MAX_DELTA

/** Starts a message. Sends small pieces together, and never splits a surrogate pair. */
export function openMessage({ client, task, signal }: MessageOptions): TaskMessage {
  // The whole text is kept: the server reports its length, and receives the rest.
  let text = ''
  /** The first half of a surrogate pair whose second half is still to come. */
  let held = ''
  let written = 0
  let finishing: Promise<void> | undefined
  const started = quietly(
    persist(signal, attempt =>
      client.tasks.messages.start.mutate({ taskId: task.id }, { signal: attempt.signal }),
    ),
  )

  async function send(): Promise<void> {
    const { id } = await started
    const rest = text.slice(written)
    const delta = rest.slice(0, cutAt(rest, MAX_DELTA))
    try {
      const { length } = await persist(signal, attempt =>
        client.tasks.messages.append.mutate({ id, offset: written, delta }, { signal: attempt.signal }),
      )
      written = Math.max(length, written + delta.length)
    } catch (error) {
      const length = isRowhouseError(error) && error.reason === 'offset_conflict' ? error.length : undefined
      if (length === undefined || length === written || length > text.length) throw error
      written = length
    }
  }

  const pump = createPump({
    delayMs: DELAY_MS,
    send,
    backlog: () => text.length - written,
    capacity: CAPACITY,
  })

  function add(piece: string): void {
    const whole = held + piece
    held = isHighSurrogate(whole.charCodeAt(whole.length - 1)) ? whole.slice(-1) : ''
    text += cleanText(held === '' ? whole : whole.slice(0, -1))
    pump.poke()
  }

  async function settle(): Promise<void> {
    // Half a pair at the end of the message has no second half.
    if (held !== '') {
      text += cleanText(held)
      held = ''
      pump.poke()
    }
    await pump.settle()
    await started
  }

  async function finish(): Promise<void> {
    await settle()
    const { id } = await started
    await persist(signal, async attempt => {
      try {
        await client.tasks.messages.finish.mutate({ id }, { signal: attempt.signal })
      } catch (error) {
        // An earlier attempt, whose answer was lost, has finished the message.
        const isFinished =
          attempt.number > 1 && isRowhouseError(error) && error.reason === 'illegal_transition'
        if (!isFinished) throw error
      }
    })
  }

  return {
    write(piece) {
      if (finishing) return Promise.reject(new Error('the message is finished'))
      add(piece)
      return pump.room()
    },
    finish: () => (finishing ??= quietly(finish())),
    settle,
  }
}
