import pino from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type SmtpSink, startSmtpSink } from '#server/testing/smtp-sink.ts'
import { createMailer } from './mail.ts'

const lines: string[] = []
const log = pino({ level: 'debug' }, { write: line => lines.push(line) })
const mail = { to: 'ada@example.com', subject: 'Reset', text: 'Open https://example.com/reset/s3cret-token' }
const from = 'Rowhouse <no-reply@example.com>'

let sink: SmtpSink

beforeAll(async () => {
  sink = await startSmtpSink()
})

afterAll(() => sink.close())

beforeEach(() => {
  lines.length = 0
})

test('with SMTP a mail goes out and its text is not logged', async () => {
  const mailer = createMailer({ smtpUrl: sink.url, from, environment: 'production', log })
  expect(await mailer.send(mail)).toBe(true)
  const caught = await sink.take(mail.to)
  expect(caught.source).toContain('From: Rowhouse <no-reply@example.com>')
  expect(caught.source).toContain('Subject: Reset')
  expect(caught.link).toBe('https://example.com/reset/s3cret-token')
  expect(lines.join('')).not.toContain('s3cret-token')
  await mailer.close()
})

test('a mail server that cannot be reached is logged and does not throw', async () => {
  const mailer = createMailer({
    smtpUrl: 'smtp://user:pa55word@127.0.0.1:1',
    from,
    environment: 'production',
    log,
  })
  expect(await mailer.send(mail)).toBe(false)
  expect(lines.join('')).toContain('a mail could not be sent')
  expect(lines.join('')).not.toMatch(/s3cret-token|pa55word/)
  await mailer.close()
})

test('a line break in an address or a subject adds no header', async () => {
  const mailer = createMailer({ smtpUrl: sink.url, from, environment: 'test', log })
  await mailer.send({ ...mail, subject: 'Hello\r\nBcc: eve@example.com' })
  const caught = await sink.take(mail.to)
  expect(caught.to).toEqual([mail.to])
  expect(caught.source).not.toMatch(/^Bcc:/m)
  await mailer.close()
})

test('without SMTP development prints the mail with its link', async () => {
  await createMailer({ smtpUrl: null, from, environment: 'development', log }).send(mail)
  expect(lines.join('')).toContain('https://example.com/reset/s3cret-token')
})

test('without SMTP production warns once and never logs the link', async () => {
  const mailer = createMailer({ smtpUrl: null, from, environment: 'production', log })
  expect(await mailer.send(mail)).toBe(false)
  expect(await mailer.send(mail)).toBe(false)
  expect(lines.filter(line => line.includes('SMTP_URL is not set'))).toHaveLength(1)
  expect(lines.join('')).not.toContain('s3cret-token')
})
