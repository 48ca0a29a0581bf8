import type { Logger } from 'pino'

type MailLog = Pick<Logger, 'info' | 'warn' | 'error'>

export interface Mail {
  readonly to: string
  readonly subject: string
  readonly text: string
}

export interface Mailer {
  /** Sends one mail and tells whether it went out. A failure is logged, without the text, and never thrown. */
  send(mail: Mail): Promise<boolean>
  /** Waits for the mails under way and closes the connection. */
  close(): Promise<void>
}

export interface MailerOptions {
  readonly smtpUrl: string | null
  readonly from: string
  readonly environment: string
  readonly log: MailLog
}

/**
 * SMTP where it is configured. Without it, mails are printed in development, links included; in production they are not sent,
 * and never logged, since whoever reads the log could follow the links.
 */
export function createMailer(options: MailerOptions): Mailer {
  const { smtpUrl, environment, log } = options
  if (smtpUrl) return createSmtpMailer({ ...options, smtpUrl })
  if (environment !== 'production') {
    return {
      send: async mail => {
        log.info(
          { to: mail.to, subject: mail.subject },
          `mail (not sent, SMTP_URL is not set):\n${mail.text}`,
        )
        return true
      },
      close: async () => {},
    }
  }
  let hasWarned = false
  return {
    send: async () => {
      if (!hasWarned)
        log.warn('SMTP_URL is not set: mails, such as password resets and invitations, are not sent')
      hasWarned = true
      return false
    },
    close: async () => {},
  }
}

function createSmtpMailer(options: MailerOptions & { smtpUrl: string }): Mailer {
  const { smtpUrl, from, log } = options
  const underWay = new Set<Promise<boolean>>()
  let transport: ReturnType<typeof connect> | undefined

  // Loaded with the first mail: it takes memory that a server which never sends one can do without.
  async function connect() {
    const { createTransport } = await import('nodemailer')
    return createTransport({
      url: smtpUrl,
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      socketTimeout: 20_000,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  }

  async function deliver(mail: Mail): Promise<boolean> {
    try {
      transport ??= connect()
      await (await transport).sendMail({ from, to: mail.to, subject: mail.subject, text: mail.text })
      return true
    } catch (error) {
      // A server's answer may quote the mail, so only the codes are kept.
      log.error({ to: mail.to, subject: mail.subject, ...failureCodes(error) }, 'a mail could not be sent')
      return false
    }
  }

  return {
    send: async mail => {
      const delivery = deliver(mail)
      underWay.add(delivery)
      try {
        return await delivery
      } finally {
        underWay.delete(delivery)
      }
    },
    close: async () => {
      await Promise.all(underWay)
      if (transport) (await transport).close()
    },
  }
}

function failureCodes(error: unknown): { code?: string; responseCode?: number } {
  if (!(error instanceof Error)) return {}
  return {
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    ...('responseCode' in error && typeof error.responseCode === 'number'
      ? { responseCode: error.responseCode }
      : {}),
  }
}
