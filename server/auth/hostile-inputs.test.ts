// Names, pictures and slugs follow the rooms' rules on every way to write them, and no input of any type,
// size or shape makes an endpoint fail.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuthFixture, createAuthFixture, PASSWORD, type SignedUp } from './fixture.ts'

let fixture: AuthFixture
let user: SignedUp
let organizationId: string

beforeAll(async () => {
  fixture = await createAuthFixture()
  user = await fixture.signUp('ada@example.com')
  const body = { name: 'Looms', slug: 'looms' }
  const created = await fixture.call('POST', '/organization/create', { token: user.token, body })
  organizationId = created.body.id
})

afterAll(() => fixture.close())

const post = (path: string, body: unknown) => fixture.call('POST', path, { token: user.token, body })

const BAD_NAMES = {
  empty: '',
  blank: ' \t ',
  invisible: '\u200b\u3164\u2800',
  'of 60 kB': 'x'.repeat(60_000),
  'of 101 letters': 'x'.repeat(101),
  'of two lines': 'Ada\nLovelace',
  'with NUL': 'Ada\0',
  'with an escape sequence': '\u001b[31mAda',
  'that turns the text around': 'Ada\u202egpj.exe',
  'that isolates it': '\u2066Ada\u2069',
  'that is a number': 7,
  'that is a list': ['Ada'],
  null: null,
}

const BAD_IMAGES = {
  'that runs': 'javascript:alert(1)',
  'that runs, in capitals': 'JaVaScRiPt:alert(1)',
  'of data': 'data:text/html,<script>alert(1)</script>',
  'without a scheme': '//evil.example.com/a.png',
  'with a line break': 'https://exam\nple.com/a.png',
  'of 8 kB': `https://example.com/${'x'.repeat(8_192)}`,
  empty: '',
  'that is a list': ['https://example.com/a.png'],
}

const BAD_SLUGS = [
  '',
  'Looms',
  'a b',
  '-a',
  'a-',
  'a--b',
  'ä',
  '../etc',
  'x'.repeat(64),
  'x'.repeat(8_192),
  7,
  null,
]

describe('a user', () => {
  it.each(Object.entries(BAD_NAMES))('has no name %s', async (_, name) => {
    expect((await post('/update-user', { name })).status).toBe(400)
    const signUp = { email: 'bad-name@example.com', password: PASSWORD, name }
    expect((await post('/sign-up/email', signUp)).status).toBe(400)
  })

  it.each(Object.entries(BAD_IMAGES))('has no picture %s', async (_, image) => {
    expect((await post('/update-user', { image })).status).toBe(400)
    const signUp = { email: 'bad-image@example.com', password: PASSWORD, name: 'Ada', image }
    expect((await post('/sign-up/email', signUp)).status).toBe(400)
  })

  it('may have a name in any script, and no picture', async () => {
    for (const name of [
      'Ada Lovelace',
      'Ægir Ó Súilleabháin',
      '李小龍',
      'عبد الله',
      '👩‍👩‍👧 family',
      "O'Neill <ada>",
    ]) {
      expect((await post('/update-user', { name, image: 'https://example.com/a.png?b=ü' })).status).toBe(200)
      const { rows } = await fixture.owner.query('select name from auth.users where id = $1', [user.userId])
      expect(rows[0].name).toBe(name)
    }
    expect((await post('/update-user', { image: null })).status).toBe(200)
    for (const body of [{}, { x: 1 }, { email: 'other@example.com' }, { twoFactorEnabled: true }]) {
      expect((await post('/update-user', body)).status).toBe(400)
    }
  })

  it('keeps at most 500 characters of the browser’s name', async () => {
    // Each byte as one character, as in headers.
    const sent = Buffer.from(`\u0085\u202e${'x'.repeat(6_000)}`).toString('latin1')
    const headers = { 'user-agent': sent }
    const body = { email: user.email, password: PASSWORD }
    expect((await fixture.call('POST', '/sign-in/email', { headers, body })).status).toBe(200)
    const { rows } = await fixture.owner.query(
      'select user_agent from auth.sessions order by id desc limit 1',
    )
    expect(rows[0].user_agent).toMatch(/^x{500}$/)
  })
})

describe('an organization', () => {
  const update = (data: object) => post('/organization/update', { organizationId, data })
  const create = (data: object) => post('/organization/create', { name: 'Mills', slug: 'mills', ...data })

  it.each(Object.entries(BAD_NAMES))('has no name %s', async (_, name) => {
    expect([(await create({ name })).status, (await update({ name })).status]).toEqual([400, 400])
  })

  it.each(Object.entries(BAD_IMAGES))('has no logo %s', async (_, logo) => {
    expect([(await create({ logo })).status, (await update({ logo })).status]).toEqual([400, 400])
  })

  it.each(BAD_SLUGS)('has no slug such as %j', async slug => {
    const answers = [
      await create({ slug }),
      await update({ slug }),
      await post('/organization/check-slug', { slug }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400])
  })

  it('has small, flat metadata, and an update must change something', async () => {
    const deep = JSON.parse(`${'{"a":'.repeat(80)}1${'}'.repeat(80)}`)
    for (const metadata of ['text', [1], deep, { a: 'x'.repeat(20_000) }]) {
      expect([(await create({ metadata })).status, (await update({ metadata })).status]).toEqual([400, 400])
    }
    for (const data of [{}, { x: 1 }, { deletedAt: null }, { requireTwoFactor: true }]) {
      expect((await update(data)).status).toBe(400)
    }
    const data = { name: 'Looms', slug: 'looms', logo: 'https://example.com/l.svg', metadata: { a: [1] } }
    expect((await update(data)).status).toBe(200)
    expect((await update({ logo: null })).status).toBe(200)
  })

  it('invites only to existing roles and valid addresses', async () => {
    const invite = (role: unknown, email: unknown) =>
      post('/organization/invite-member', { organizationId, role, email })
    for (const role of ['king', '', 'admin,member', [], ['admin', 'owner'], 'x'.repeat(9_000), null, 1])
      expect([role, (await invite(role, 'bob@example.com')).status]).toEqual([role, 400])
    for (const email of [
      '',
      'bob',
      'bob@x',
      'b\nob@example.com',
      `${'x'.repeat(300)}@example.com`,
      ['a@b.cd'],
    ])
      expect([email, (await invite('member', email)).status]).toEqual([email, 400])
    expect((await invite(['admin'], 'Bob@Example.com')).body).toMatchObject({
      role: 'admin',
      email: 'bob@example.com',
    })
  })
})

describe('the tables', () => {
  const refused = (text: string, values: unknown[]) =>
    expect(fixture.authPool.query(text, values)).rejects.toMatchObject({ code: '23514' })

  it('refuse the same from whatever writes them', async () => {
    for (const name of ['', '   ', 'x'.repeat(101), 'a\nb', 'a\u202eb', 'a\u0085b', 'a\u2069']) {
      await refused('update auth.users set name = $1', [name])
      await refused('update auth.organizations set name = $1', [name])
    }
    for (const url of ['javascript:alert(1)', 'data:x', '', 'https://a b', `https://${'x'.repeat(2_048)}`]) {
      await refused('update auth.users set image = $1', [url])
      await refused('update auth.organizations set logo = $1', [url])
    }
    for (const slug of ['', 'A', '-a', 'a_b', 'ä', 'x'.repeat(64), 'x'.repeat(8_192)])
      await refused('update auth.organizations set slug = $1', [slug])
    await refused('update auth.organizations set metadata = $1', ['x'.repeat(16_385)])
    await refused('update auth.sessions set user_agent = $1', ['x'.repeat(501)])
    await refused('update auth.users set email = $1', ['Ada@example.com'])
    await refused('update auth.users set email = $1', ['a da@example.com'])
  })
})
