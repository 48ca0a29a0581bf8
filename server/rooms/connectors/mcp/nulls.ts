import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'

// Many servers write null for an optional field that has no value, such as the cursor of the last page. The protocol's schema
// leaves such fields out, and the SDK refuses the whole answer over them.

const MAX_DEPTH = 4

/** What servers describe to others in JSON schema, where null has a meaning of its own. */
const SCHEMAS: readonly string[] = ['inputSchema', 'outputSchema']

/** Drops null members from a transport's answers, before the client that connects to it reads them. */
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
