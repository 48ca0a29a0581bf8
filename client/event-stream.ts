// The text/event-stream format:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

export interface StreamEvent {
  readonly type: string
  /** Undefined for a block that only sets the id or the reconnection time. */
  readonly data: string | undefined
  readonly id: string | undefined
  readonly retryMs: number | undefined
}

/** Yields the events of a stream, in order. Drops an incomplete event at the stream's end. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent, void> {
  let block: string[] = []
  for await (const line of readLines(body)) {
    if (line !== '') {
      block.push(line)
    } else if (block.length > 0) {
      yield parseBlock(block)
      block = []
    }
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      rest += decoder.decode(value, { stream: true })
      // A carriage return at the end of a chunk may be the first half of a line break.
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      yield* lines
    }
  } finally {
    await reader.cancel()
  }
}

function parseBlock(lines: readonly string[]): StreamEvent {
  let type = 'message'
  let id: string | undefined
  let retryMs: number | undefined
  const data: string[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event' && value !== '') type = value
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d+$/.test(value)) retryMs = Number(value)
  }
  return { type, data: data.length === 0 ? undefined : data.join('\n'), id, retryMs }
}
