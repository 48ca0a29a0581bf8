import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'

// Many servers send null for an optional field without a value, such as the cursor of the last page. The
// protocol's schema omits such fields, and the SDK rejects the whole answer because of them.

const MAX_DEPTH = 4

/** Members that contain JSON Schema, in which null is a value. */
const SCHEMAS: readonly string[] = ['inputSchema', 'outputSchema']

/** Drops null members from the messages of a transport before the client reads them. */
export function tolerateNulls(transport: Transport): void {
  transport.onmessage = message => {
    if ('result' in message) dropNulls(message.result, MAX_DEPTH)
  }
}

function dropNulls(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null || depth === 0) return
  for (const [name, member] of Object.entries(value)) {
    if (member === null && !Array.isArray(value)) delete (value as Record<string, unknown>)[name]
    else if (!SCHEMAS.includes(name)) dropNulls(member, depth - 1)
  }
}
