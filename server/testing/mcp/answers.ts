/** A server's answer to `initialize`, unchanged or with changes. */
export function initialized(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    protocolVersion: '2025-06-18',
    capabilities: { tools: {} },
    serverInfo: { name: 'scripted', version: '1' },
    ...changes,
  }
}

export function tool(name: string, description = ''): Record<string, unknown> {
  return { name, description, inputSchema: { type: 'object' } }
}

/** One page that is larger than the stored limit of a whole list. */
export const HUGE_PAGE = { tools: Array.from({ length: 600 }, (_, n) => tool(`t${n}`, 'x'.repeat(1_000))) }

export const ENDLESS_PAGE = { tools: [tool('again')], nextCursor: 'more' }
