// What news is about, and how it travels: names of streams, never what happened in them.

/** The name of a stream, such as `logs:<task id>`. */
export type Topic = `${string}:${string}`

/** The channel that all processes listen on. */
export const CHANNEL = 'rowhouse'

/** Postgres refuses a payload of 8000 bytes. */
const MAX_PAYLOAD_BYTES = 7_900

/** Writes topics as payloads for NOTIFY, signed with the sending process, which need not hear its own news. */
export function toPayloads(sender: string, topics: Iterable<Topic>): string[] {
  const payloads: string[] = []
  let payload = sender
  for (const topic of topics) {
    if (payload.length + 1 + topic.length > MAX_PAYLOAD_BYTES) {
      payloads.push(payload)
      payload = sender
    }
    payload += ` ${topic}`
  }
  if (payload !== sender) payloads.push(payload)
  return payloads
}

/** Reads a payload; topics without a colon, which are none of ours, are left out. */
export function fromPayload(payload: string): { sender: string; topics: Topic[] } {
  const [sender = '', ...topics] = payload.split(' ')
  return { sender, topics: topics.filter(isTopic) }
}

function isTopic(text: string): text is Topic {
  return text.includes(':')
}
