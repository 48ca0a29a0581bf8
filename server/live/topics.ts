// What news is about, and how it travels. Whoever may connect to the database may listen, and Postgres can't forbid it: so what
// travels are pseudonyms of streams, which nobody without the server's secret can make or read.

import { createHmac } from 'node:crypto'

/** The name of a stream, such as `logs:<task id>`. */
export type Topic = `${string}:${string}`

/** The channel that all processes listen on. */
export const CHANNEL = 'rowhouse'

/** Postgres refuses a payload of 8000 bytes. */
const MAX_PAYLOAD_BYTES = 7_900

/** What a topic is called on the channel: the same in every process that knows the secret. */
export type Pseudonym = (topic: Topic) => string

export function pseudonyms(authSecret: string): Pseudonym {
  const key = createHmac('sha256', authSecret).update('pseudonyms of streams').digest()
  return topic => createHmac('sha256', key).update(topic).digest('base64url').slice(0, 22)
}

/** Writes pseudonyms as payloads for NOTIFY, signed with the sending process, which need not hear its own news. */
export function toPayloads(sender: string, pseudonyms: Iterable<string>): string[] {
  const payloads: string[] = []
  let payload = sender
  for (const pseudonym of pseudonyms) {
    if (payload.length + 1 + pseudonym.length > MAX_PAYLOAD_BYTES) {
      payloads.push(payload)
      payload = sender
    }
    payload += ` ${pseudonym}`
  }
  if (payload !== sender) payloads.push(payload)
  return payloads
}

/** Reads a payload. It may be anybody's. */
export function fromPayload(payload: string): { sender: string; pseudonyms: string[] } {
  const [sender = '', ...pseudonyms] = payload.split(' ')
  return { sender, pseudonyms }
}
