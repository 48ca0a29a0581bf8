import { transformer } from '#server/rpc/transformer.ts'
import { trackedFrame } from './frames.ts'

/** Something that happened, under its number within its stream. */
export interface LiveEvent<T = unknown> {
  readonly seq: number
  readonly data: T
}

/** The events behind `after`, up to and including `upTo`, in order. Written to bytes once, however many read it. */
export class Batch {
  readonly after: number
  readonly upTo: number
  readonly events: readonly LiveEvent[]
  #chunk: Buffer | undefined
  #bodyStart = 0

  constructor(after: number, upTo: number, events: readonly LiveEvent[]) {
    this.after = after
    this.upTo = upTo
    this.events = events
  }

  /** The part behind `position`; itself, where that is the whole. */
  since(position: number): Batch {
    if (position <= this.after) return this
    return new Batch(
      position,
      this.upTo,
      this.events.filter(event => event.seq > position),
    )
  }

  /** The events as a body part of HTTP's chunked encoding. */
  get chunk(): Buffer {
    if (this.#chunk) return this.#chunk
    let text = ''
    for (const { seq, data } of this.events) {
      text += trackedFrame(String(seq), JSON.stringify(transformer.serialize(data)))
    }
    const length = Buffer.byteLength(text)
    const head = `${length.toString(16)}\r\n`
    // The bytes of short strings are cut from a block that they would keep alive.
    const chunk = Buffer.allocUnsafeSlow(head.length + length + 2)
    chunk.write(head, 0, 'latin1')
    chunk.write(text, head.length)
    chunk.write('\r\n', head.length + length, 'latin1')
    this.#bodyStart = head.length
    this.#chunk = chunk
    return chunk
  }

  /** The events as they are read. */
  get body(): Buffer {
    return this.chunk.subarray(this.#bodyStart || this.chunk.indexOf('\n') + 1, -2)
  }
}
