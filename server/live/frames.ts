// Server-sent events as tRPC 11 writes them (its `sseStreamProducer`): the data before the id, two empty lines behind.

export const PING_FRAME = 'event: ping\ndata: \n\n\n'
export const RETURN_FRAME = 'event: return\ndata: \n\n\n'

/** An event that a client resumes from; `json` holds no line break. */
export function trackedFrame(id: string, json: string): string {
  return `data: ${json}\nid: ${id}\n\n\n`
}

/** The first event: what the server asks of its client. */
export function connectedFrame(client: object): string {
  return `event: connected\ndata: ${JSON.stringify(client)}\n\n\n`
}

/** The last event of a stream that fails. */
export function errorFrame(json: string): string {
  return `event: serialized-error\ndata: ${json}\n\n\n`
}
