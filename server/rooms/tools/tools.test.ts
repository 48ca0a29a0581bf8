import { Ajv2020 } from 'ajv/dist/2020.js'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { createClaimedTask } from '#server/testing/claims.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import type { EnableTool } from './schema.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

async function toolOf(actor: Actor, slug: string) {
  return (await actor.caller().tools.list()).find(tool => tool.slug === slug)
}

describe('the catalogue', () => {
  it('lists a dozen described tools, all disabled for a new user', async () => {
    const tools = await (await createActor(house)).caller().tools.list()
    expect(tools.length).toBeGreaterThanOrEqual(12)
    for (const tool of tools) {
      expect(tool).toMatchObject({ slug: expect.stringMatching(/^[a-z_]+$/), enabled: false, config: {} })
      expect(tool.description.length).toBeGreaterThan(40)
    }
    expect(tools.map(tool => tool.slug)).toEqual(tools.map(tool => tool.slug).toSorted())
  })

  it('has schemas of objects that a strict JSON Schema compiler accepts', async () => {
    for (const { slug, inputSchema, configSchema } of await ada.caller().tools.list()) {
      for (const schema of [inputSchema, configSchema] as object[]) {
        expect(() => new Ajv2020({ strict: true }).compile(schema), slug).not.toThrow()
        expect(schema).toMatchObject({ type: 'object', additionalProperties: false })
      }
    }
  })

  it('requires approval for tools that run code or publish', async () => {
    const tools = await ada.caller().tools.list()
    const slugs = tools.filter(tool => tool.requiresApproval).map(tool => tool.slug)
    expect(slugs).toEqual(['create_issue', 'open_pull_request', 'post_message', 'run_command'])
  })

  it('can be read by the public login, without disabled tools, but not written', async () => {
    const other = await openHouse()
    const client = new pg.Client(other.database.directUrls.public)
    client.on('error', () => {})
    await client.connect()
    try {
      await other.owner.query(`update app.tools set is_enabled = false where slug = 'fetch_url'`)
      const { rows } = await client.query<{ slug: string }>('select slug from app.tools')
      expect(rows.map(row => row.slug)).toContain('read_file')
      expect(rows.map(row => row.slug)).not.toContain('fetch_url')
      for (const statement of [
        'select from app.user_tools',
        'select from app.agent_runs',
        'select from app.tool_calls',
        'update app.tools set is_enabled = true',
        'delete from app.tools',
        `insert into app.tools (slug) values ('x')`,
      ]) {
        await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' })
      }
    } finally {
      await client.end()
      await other.close()
    }
  })

  it('hides tools that the operator disabled from everyone', async () => {
    const other = await openHouse()
    try {
      const { tools } = (await createActor(other)).caller()
      await tools.enable({ slug: 'fetch_url' })
      await other.owner.query(`update app.tools set is_enabled = false where slug = 'fetch_url'`)
      expect((await tools.list()).map(tool => tool.slug)).not.toContain('fetch_url')
      expect(await reasonOf(tools.enable({ slug: 'fetch_url' }))).toBe('not_found')
    } finally {
      await other.close()
    }
  })
})

describe('a tool', () => {
  it('can be enabled with a config, and keeps it when disabled', async () => {
    const { tools } = ada.caller()
    const config = { allowedHosts: ['example.com'] }
    const enabled = await tools.enable({ slug: 'fetch_url', config })
    expect(enabled).toMatchObject({ slug: 'fetch_url', enabled: true, config })
    expect(await toolOf(ada, 'fetch_url')).toEqual(enabled)
    expect(await tools.disable({ slug: 'fetch_url' })).toEqual({ ...enabled, enabled: false })
    expect(await tools.enable({ slug: 'fetch_url' })).toEqual(enabled)
    expect(await tools.enable({ slug: 'fetch_url', config: {} })).toMatchObject({ config: {} })
  })

  it('can be enabled again with its stored config', async () => {
    const owner = await createActor(house)
    const config = { channel: 'C0123' }
    await owner.caller().tools.enable({ slug: 'post_message', config })
    await owner.caller().tools.disable({ slug: 'post_message' })
    expect(await owner.caller().tools.enable({ slug: 'post_message' })).toMatchObject({
      enabled: true,
      config,
    })
    expect(await toolOf(owner, 'post_message')).toMatchObject({ enabled: true, config })
  })

  it('that was never enabled stays disabled', async () => {
    const { tools } = ada.caller()
    expect(await tools.disable({ slug: 'git_commit' })).toMatchObject({ enabled: false })
    const { rows } = await house.owner.query(
      'select count(*)::int as n from app.user_tools where user_id = $1',
      [ada.userId],
    )
    expect(rows).toEqual([{ n: 1 }])
  })

  it('is enabled once, even for many concurrent callers', async () => {
    const owner = await createActor(house)
    await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        owner.caller().tools.enable({ slug: 'read_file', config: { maxBytes: 2048 + n } }),
      ),
    )
    expect(await toolOf(owner, 'read_file')).toMatchObject({ enabled: true })
    const { rows } = await house.owner.query(
      'select count(*)::int as n from app.user_tools where user_id = $1',
      [owner.userId],
    )
    expect(rows).toEqual([{ n: 1 }])
  })

  it('is configured for each user: a stranger sees nothing of it', async () => {
    await ada.caller().tools.enable({ slug: 'post_message', config: { channel: 'C0ADA' } })
    expect(await toolOf(bob, 'post_message')).toMatchObject({ enabled: false, config: {} })
    await bob.caller().tools.enable({ slug: 'post_message', config: { channel: 'C0BOB' } })
    await bob.caller().tools.disable({ slug: 'post_message' })
    expect(await toolOf(ada, 'post_message')).toMatchObject({ enabled: true, config: { channel: 'C0ADA' } })
  })

  it.each([
    ['no value for a required setting', { slug: 'post_message' }, 'required property'],
    ['a value of another kind', { slug: 'post_message', config: { channel: 7 } }, '/channel must be string'],
    ['a value outside its bounds', { slug: 'read_file', config: { maxBytes: 1 } }, 'must be >= 1024'],
    ['an unknown setting', { slug: 'list_directory', config: { a: 1 } }, 'additional properties'],
    ['one setting of a pair', { slug: 'git_commit', config: { authorName: 'Ada' } }, 'authorEmail'],
  ])('is rejected with %s', async (_, input, message) => {
    const owner = await createActor(house)
    const refusal = await refusalOf(owner.caller().tools.enable(input))
    expect(refusal).toMatchObject({ code: 'BAD_REQUEST', reason: 'invalid_input' })
    expect(refusal.message).toContain(message)
    expect(await toolOf(owner, input.slug)).toMatchObject({ enabled: false, config: {} })
  })

  it.each([
    ['a config that is not an object', { slug: 'read_file', config: [] }],
    ['a config with NUL', { slug: 'fetch_url', config: { allowedHosts: ['a\0'] } }],
    ['a config that is too large', { slug: 'fetch_url', config: { a: 'x'.repeat(16 * 1024) } }],
    ['no slug', { slug: '' }],
    ['another owner', { slug: 'read_file', userId: 'x' }],
  ])('is rejected with %s', async (_, input) => {
    expect(await reasonOf(ada.caller().tools.enable(input as unknown as EnableTool))).toBe('BAD_REQUEST')
  })

  it('that does not exist is not found', async () => {
    expect(await reasonOf(ada.caller().tools.enable({ slug: 'no_such_tool' }))).toBe('not_found')
    expect(await reasonOf(ada.caller().tools.disable({ slug: 'no_such_tool' }))).toBe('not_found')
  })
})

describe('access:', () => {
  it('tokens read and enable tools by their scopes, leases and strangers never', async () => {
    const reader = (await createApiToken(ada, { scopes: ['tools:read'] })).caller().tools
    const writer = (await createApiToken(ada, { scopes: ['tools:write'] })).caller().tools
    const other = (await createApiToken(ada, { scopes: ['runs:write'] })).caller().tools
    const { worker } = await createClaimedTask(house)
    expect(await reader.list()).toEqual(await writer.list())
    await writer.enable({ slug: 'write_file' })
    for (const caller of [reader, other, worker.tools]) {
      expect(await reasonOf(caller.enable({ slug: 'read_file' }))).toBe('missing_scope')
      expect(await reasonOf(caller.disable({ slug: 'read_file' }))).toBe('missing_scope')
    }
    for (const caller of [other, worker.tools]) expect(await reasonOf(caller.list())).toBe('missing_scope')
    expect(await reasonOf(anonymous(house).tools.list())).toBe('unauthenticated')
  })

  it('an expired token is rejected', async () => {
    const expiresAt = new Date(Date.now() - 1_000)
    const token = await createApiToken(ada, { scopes: ['tools:write'], expiresAt })
    expect(await reasonOf(token.caller().tools.list())).toBe('unauthenticated')
    expect(await reasonOf(token.caller().tools.enable({ slug: 'read_file' }))).toBe('unauthenticated')
  })
})
