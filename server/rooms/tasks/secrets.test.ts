import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Provider } from '#server/rooms/keys/schema.ts'
import type { Caller } from '#server/rpc/caller.ts'
import type { Scope } from '#server/rpc/scopes.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
  WORKER_KEY,
} from '#server/testing/actors.ts'
import { callerUnder, createClaimedTask, lapseLease, whileTaskChangesHands } from '#server/testing/claims.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

const KEY = 'sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz'
const SECRETS = {
  env: { TOKEN: 'env-secret' },
  headers: { Authorization: 'Bearer header-secret' },
  oauthClientId: 'oauth-id',
  oauthClientSecret: 'oauth-secret',
}

function createConnector(actor: Actor, name = 'Wiki') {
  return actor
    .caller()
    .connectors.create({ kind: 'remote', name, url: 'https://mcp.example.com/', ...SECRETS })
}

interface Uses {
  connectorIds?: string[]
  keyProviders?: Provider[]
}

/** Creates a task of the actor and claims it with a token of these scopes. */
async function claimed(actor: Actor, uses: Uses, scopes: Scope[] = ['tasks:work', 'keys:reveal']) {
  const { id } = await actor.caller().tasks.create({ prompt: 'x', ...uses })
  const token = await createApiToken(actor, { scopes })
  const claim = await token.caller().tasks.claim({ worker: 'w' })
  if (claim?.task.id !== id) throw new Error('another task was claimed')
  return { id, token, lease: claim.lease, worker: callerUnder(house, claim.lease) }
}

describe('a worker reads', () => {
  it('only the keys and connectors that its task names', async () => {
    const { id: connectorId } = await createConnector(ada)
    const { id: another } = await createConnector(ada, 'another')
    for (const provider of ['anthropic', 'openai', 'gemini'] as const)
      await ada.caller().keys.set({ provider, value: `${KEY}-${provider}` })
    await ada.caller().tasks.create({ prompt: 'x', keyProviders: ['gemini'], connectorIds: [another] })
    await anonymous(house, { authorization: ada.authorization }).tasks.claim({ worker: 'busy' })
    const { worker } = await claimed(ada, {
      connectorIds: [connectorId],
      keyProviders: ['openai', 'anthropic'],
    })
    expect(await worker.tasks.secrets()).toEqual({
      keys: [
        { provider: 'anthropic', value: `${KEY}-anthropic`, unreadable: false },
        { provider: 'openai', value: `${KEY}-openai`, unreadable: false },
      ],
      connectors: [
        {
          id: connectorId,
          name: 'Wiki',
          kind: 'remote',
          command: null,
          args: [],
          url: 'https://mcp.example.com/',
          ...SECRETS,
          unreadable: [],
        },
      ],
    })
    // What only another task names is neither returned nor marked as used.
    expect(await ada.caller().keys.list()).toMatchObject([
      { provider: 'anthropic', lastUsedAt: expect.any(Date) },
      { provider: 'gemini', lastUsedAt: null },
      { provider: 'openai', lastUsedAt: expect.any(Date) },
    ])
  })

  it('no secrets for a task that names none', async () => {
    await createConnector(ada)
    await ada.caller().keys.set({ provider: 'anthropic', value: KEY })
    const { worker } = await claimed(ada, {})
    expect(await worker.tasks.secrets()).toEqual({ keys: [], connectors: [] })
    expect(await ada.caller().keys.list()).toMatchObject([{ lastUsedAt: null }])
  })

  it('a key that was set or replaced after the task was created', async () => {
    const { worker } = await claimed(ada, { keyProviders: ['anthropic'] })
    expect((await worker.tasks.secrets()).keys).toEqual([
      { provider: 'anthropic', value: null, unreadable: false },
    ])
    for (const value of ['the first', 'the second']) {
      await ada.caller().keys.set({ provider: 'anthropic', value })
      expect((await worker.tasks.secrets()).keys).toMatchObject([{ value }])
    }
  })

  it('a key, and its owner then sees when it was used', async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: KEY })
    await ada.caller().keys.set({ provider: 'openai', value: KEY })
    const { worker } = await claimed(ada, { keyProviders: ['openai'] })
    await worker.tasks.secrets()
    expect(await ada.caller().keys.list()).toMatchObject([
      { provider: 'anthropic', lastUsedAt: null },
      { provider: 'openai', lastUsedAt: expect.any(Date) },
    ])
  })

  it('the other secrets if one cannot be decrypted', async () => {
    const { id: connectorId } = await createConnector(ada)
    await ada.caller().keys.set({ provider: 'anthropic', value: KEY })
    await ada.caller().keys.set({ provider: 'openai', value: KEY })
    await house.owner.query(
      `update app.provider_keys p set value = o.value from app.provider_keys o
       where p.user_id = $1 and o.user_id = $1 and p.provider = 'anthropic' and o.provider = 'openai'`,
      [ada.userId],
    )
    await house.owner.query('update app.connectors set headers = env where id = $1', [connectorId])
    const { worker } = await claimed(ada, {
      connectorIds: [connectorId],
      keyProviders: ['anthropic', 'openai'],
    })
    const { keys, connectors } = await worker.tasks.secrets()
    expect(keys).toEqual([
      { provider: 'anthropic', value: null, unreadable: true },
      { provider: 'openai', value: KEY, unreadable: false },
    ])
    expect(connectors).toMatchObject([{ ...SECRETS, headers: {}, unreadable: ['headers'] }])
  })

  it('nothing of a removed connector', async () => {
    const { id: connectorId } = await createConnector(ada)
    const { worker } = await claimed(ada, { connectorIds: [connectorId] })
    await ada.caller().connectors.remove({ id: connectorId })
    expect(await worker.tasks.secrets()).toEqual({ keys: [], connectors: [] })
  })

  it('its own secrets while another worker of the same owner reads others', async () => {
    for (const provider of ['anthropic', 'openai'] as const)
      await ada.caller().keys.set({ provider, value: KEY })
    const workers: Caller[] = []
    for (const keyProviders of [
      ['anthropic', 'openai'],
      ['openai', 'anthropic'],
    ] as Provider[][])
      workers.push((await claimed(ada, { keyProviders })).worker)
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => workers[index % 2]?.tasks.secrets()),
    )
    for (const answer of answers) expect(answer?.keys).toMatchObject([{ value: KEY }, { value: KEY }])
  })

  it('either the old or the new key while it is being replaced', async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: 'key-0' })
    const { worker } = await claimed(ada, { keyProviders: ['anthropic'] })
    const answers = Array.from({ length: 30 }, async (_, index) => {
      await ada.caller().keys.set({ provider: 'anthropic', value: `key-${index}` })
      return worker.tasks.secrets()
    })
    for (const { keys } of await Promise.all(answers)) {
      expect(keys).toMatchObject([{ value: expect.stringMatching(/^key-\d+$/), unreadable: false }])
    }
  })
})

describe('the claiming credential decides:', () => {
  beforeEach(async () => {
    await ada.caller().keys.set({ provider: 'anthropic', value: KEY })
  })

  it('a token without keys:reveal reads no secrets, and no key is marked as used', async () => {
    for (const scopes of [
      ['tasks:work'],
      ['tasks:work', 'keys:read', 'keys:write', 'tasks:write'],
    ] as Scope[][]) {
      const { worker } = await claimed(ada, { keyProviders: ['anthropic'] }, scopes)
      const refusal = await refusalOf(worker.tasks.secrets())
      expect(refusal).toMatchObject({ code: 'FORBIDDEN', reason: 'missing_scope' })
    }
    expect(await ada.caller().keys.list()).toMatchObject([{ lastUsedAt: null }])
  })

  it('a session reads them, as it has every scope', async () => {
    await ada.caller().tasks.create({ prompt: 'x', keyProviders: ['anthropic'] })
    const claim = await ada.caller().tasks.claim({ worker: 'w' })
    const answer = await callerUnder(house, claim?.lease ?? '').tasks.secrets()
    expect(answer.keys).toMatchObject([{ value: KEY }])
  })

  it('the operator’s worker reads them', async () => {
    const { id } = await ada.caller().tasks.create({ prompt: 'x', keyProviders: ['anthropic'] })
    const operator = anonymous(house, { authorization: `Bearer ${WORKER_KEY}` })
    let claim = await operator.tasks.claim({ worker: 'w' })
    while (claim && claim.task.id !== id) claim = await operator.tasks.claim({ worker: 'w' })
    const answer = await callerUnder(house, claim?.lease ?? '').tasks.secrets()
    expect(answer.keys).toMatchObject([{ value: KEY }])
  })

  it('no credential other than a lease reads them', async () => {
    const token = await createApiToken(ada, { scopes: ['tasks:work', 'keys:reveal'] })
    for (const caller of [ada.caller(), token.caller()])
      expect(await reasonOf(caller.tasks.secrets())).toBe('missing_scope')
  })

  it('a lease that has ended does not read them', async () => {
    const uses: Uses = { keyProviders: ['anthropic'] }
    const lapsed = await claimed(ada, uses)
    await lapseLease(house, lapsed.id)
    await ada.caller().tasks.stop({ id: lapsed.id })
    const completed = await claimed(ada, uses)
    await completed.worker.tasks.complete()
    const revoked = await claimed(ada, uses)
    await ada.caller().apiTokens.revoke({ id: revoked.token.id })
    const stopped = await claimed(ada, uses)
    await ada.caller().tasks.stop({ id: stopped.id })
    const removed = await claimed(ada, uses)
    await ada.caller().tasks.stop({ id: removed.id })
    await ada.caller().tasks.remove({ id: removed.id })
    for (const { worker } of [lapsed, completed, revoked, stopped, removed])
      expect(await reasonOf(worker.tasks.secrets())).toBe('lease_lost')
    expect(await ada.caller().keys.list()).toMatchObject([{ lastUsedAt: null }])
  })

  it('a worker whose task is claimed by another while it waits on a lock reads nothing', async () => {
    const { id, worker } = await createClaimedTask(house)
    const late = whileTaskChangesHands(house, id, () => worker.tasks.secrets())
    expect(await reasonOf(late)).toBe('lease_lost')
  })
})
