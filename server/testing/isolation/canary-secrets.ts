import { randomUUID } from 'node:crypto'
import type { ClientBase } from 'pg'
import { expect } from 'vitest'

// What a user gives us to keep sealed, planted to be searched for, and what goes wrong with it.

export const KEPT = {
  key: `sk-ant-${randomUUID()}`,
  variable: `variable-${randomUUID()}`,
  header: `header-${randomUUID()}`,
  clientId: `client-${randomUUID()}`,
  clientSecret: `client-secret-${randomUUID()}`,
}

const CONNECTOR = { kind: 'remote', name: 'x', url: 'https://mcp.example.com/' }

/** Gives us every secret that a user may, and returns what makes a task use them. */
export async function keepSecrets(
  mutate: (path: string, input: unknown) => Promise<unknown>,
  name: string,
): Promise<{ keyProviders: string[]; connectorIds: string[] }> {
  await mutate('keys.set', { provider: 'anthropic', value: KEPT.key })
  // Refused before anybody is asked.
  const url = 'http://127.0.0.1:1/'
  const headers = { authorization: `Bearer ${KEPT.header}` }
  const oauth = { oauthClientId: KEPT.clientId, oauthClientSecret: KEPT.clientSecret }
  const created = await mutate('connectors.create', { ...CONNECTOR, name, url, headers, ...oauth })
  const { id } = created as { id: string }
  await mutate('connectors.update', { id, env: { TOKEN: KEPT.variable } })
  await mutate('connectors.test', { id })
  await mutate('keys.reveal', { provider: 'anthropic' })
  return { keyProviders: ['anthropic'], connectorIds: [id] }
}

/** Everything that goes wrong with secrets for their owner. What they are answered must hold none. */
export async function provokeWithSecrets<Sent extends { status: number }>({
  post,
  owner,
  note,
}: {
  post: (path: string, input: unknown) => Promise<Sent>
  owner: Pick<ClientBase, 'query'>
  note: (answer: Sent) => void
}): Promise<void> {
  const expectStatus = async (status: number, path: string, input: unknown) => {
    const answer = await post(path, input)
    expect(answer.status, path).toBe(status)
    note(answer)
  }
  await expectStatus(400, 'keys.set', { provider: KEPT.key, value: KEPT.key })
  await expectStatus(400, 'keys.set', { provider: 'anthropic', value: `${KEPT.key}\0` })
  await expectStatus(400, 'connectors.create', { ...CONNECTOR, headers: { a: `${KEPT.header}\r\n` } })
  await expectStatus(400, 'connectors.create', { ...CONNECTOR, url: `https://x:${KEPT.header}@example.com/` })
  await expectStatus(400, 'connectors.create', { ...CONNECTOR, env: { TOKEN: [KEPT.variable] } })

  // A key that does not open any more.
  await owner.query('update app.provider_keys set id = app.new_id()')
  await expectStatus(422, 'keys.reveal', { provider: 'anthropic' })

  // Faults that nobody expects are logged whole.
  await owner.query('alter table app.provider_keys rename column hint to hints')
  await owner.query('alter table app.connectors rename column url to urls')
  await expectStatus(500, 'keys.set', { provider: 'anthropic', value: KEPT.key })
  await expectStatus(500, 'connectors.create', { ...CONNECTOR, headers: { authorization: KEPT.header } })
  await owner.query('alter table app.connectors rename column urls to url')
  await owner.query('alter table app.provider_keys rename column hints to hint')
}
