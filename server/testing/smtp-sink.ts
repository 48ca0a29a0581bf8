import { SMTPServer } from 'smtp-server'

interface CaughtMail {
  readonly to: readonly string[]
  /** Headers and body as they were sent, with soft line breaks removed. */
  readonly source: string
  /** The first link in the body. */
  readonly link: string | null
}

export interface SmtpSink {
  readonly url: string
  readonly mails: readonly CaughtMail[]
  /** Waits for a mail to an address, and removes it. */
  take(to: string): Promise<CaughtMail>
  close(): Promise<void>
}

const PATIENCE_MS = 5_000

/** A mail server on this machine that accepts everything and delivers nothing. */
export async function startSmtpSink(): Promise<SmtpSink> {
  const mails: CaughtMail[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        mails.push(readMail(Buffer.concat(chunks).toString('utf8'), session.envelope.rcptTo))
        done()
      })
    },
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.server.address()
  if (address === null || typeof address === 'string') throw new Error('the SMTP sink has no port')

  return {
    url: `smtp://127.0.0.1:${address.port}`,
    mails,
    async take(to) {
      const deadline = Date.now() + PATIENCE_MS
      while (Date.now() < deadline) {
        const index = mails.findIndex(mail => mail.to.includes(to))
        const [mail] = index < 0 ? [] : mails.splice(index, 1)
        if (mail) return mail
        await new Promise(resolve => setTimeout(resolve, 10))
      }
      throw new Error(`no mail to ${to} arrived within ${PATIENCE_MS} ms`)
    },
    close: () => new Promise<void>(resolve => server.close(() => resolve())),
  }
}

function readMail(raw: string, recipients: readonly { address: string }[]): CaughtMail {
  const isQuoted = /content-transfer-encoding: quoted-printable/i.test(raw)
  const source = isQuoted
    ? raw
        .replace(/=\r?\n/g, '')
        .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    : raw
  return {
    to: recipients.map(recipient => recipient.address),
    source,
    link: /https?:\/\/\S+/.exec(source.slice(source.indexOf('\r\n\r\n')))?.[0] ?? null,
  }
}
