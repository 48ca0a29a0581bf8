import type { Mail } from '#server/app/mail.ts'

// A mail to an unproven address never contains text that its sender typed. The exceptions are the names of an
// organization and an inviter, without which an invitation means nothing; they are shortened to one line.

export function passwordResetMail(to: string, url: string): Mail {
  return {
    to,
    subject: 'Reset your password',
    text: [
      'Someone, hopefully you, asked to reset the password of your account.',
      `To choose a new one, open this link within an hour:\n\n${url}`,
      'If it was not you, ignore this mail: your password stays as it is.',
    ].join('\n\n'),
  }
}

export function verificationMail(to: string, url: string): Mail {
  return {
    to,
    subject: 'Confirm your mail address',
    text: [
      `To confirm that this address is yours, open this link within an hour:\n\n${url}`,
      'If you did not sign up, ignore this mail.',
    ].join('\n\n'),
  }
}

export function existingAccountMail(to: string, appUrl: string): Mail {
  return {
    to,
    subject: 'You already have an account',
    text: [
      'Someone, hopefully you, signed up with your mail address, which already has an account.',
      `Nothing has changed. To use the account, sign in at ${new URL(appUrl).origin}, or ask there for a new password.`,
      'If it was not you, ignore this mail.',
    ].join('\n\n'),
  }
}

export function invitationMail(
  to: string,
  invitation: { inviter: string; organization: string; url: string },
): Mail {
  const organization = oneLine(invitation.organization)
  return {
    to,
    subject: `Invitation to ${organization}`,
    text: [
      `${oneLine(invitation.inviter)} invites you to join ${organization}.`,
      `To accept, sign in with this address and open:\n\n${invitation.url}`,
      'If you do not know them, ignore this mail.',
    ].join('\n\n'),
  }
}

function oneLine(name: string): string {
  const line = name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return line.length > 60 ? `${[...line].slice(0, 59).join('')}…` : line
}
