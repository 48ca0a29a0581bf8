import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { expectShape, shortText } from '../payload.ts'
import type { ConnectionEffect, WebhookProvider } from '../provider.ts'

// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
const SIGNATURE = /^sha256=[0-9a-f]{64}$/

const EFFECTS: Readonly<Record<string, ConnectionEffect>> = {
  'installation.deleted': 'revoke',
  'installation.suspend': 'suspend',
  'installation.unsuspend': 'unsuspend',
}

const headers = z.object({ event: z.string().regex(/^[a-z_]{1,60}$/), deliveryId: shortText })

const body = z.looseObject({
  action: z
    .string()
    .regex(/^[\w-]{1,60}$/)
    .optional(),
  // Events of an app name their installation; those of a repository's own webhook, and pings, do not.
  installation: z.looseObject({ id: z.int().positive(), account: z.looseObject({}).nullish() }).nullish(),
})

export const github: WebhookProvider = {
  storedHeaders: ['x-github-event', 'x-github-delivery', 'x-github-hook-id'],

  async verify(request, secret) {
    const signature = request.header('x-hub-signature-256')
    // The verifier takes text: bytes that are none could not have the signature of theirs.
    if (signature === null || !SIGNATURE.test(signature) || !isUtf8(request.body)) return false
    const text = request.body.toString('utf8')
    if (text === '') return false
    const { verify } = await import('@octokit/webhooks-methods')
    return verify(secret, text, signature)
  },

  read(request, payload) {
    const { event, deliveryId } = expectShape(headers, {
      event: request.header('x-github-event'),
      deliveryId: request.header('x-github-delivery'),
    })
    const { action, installation } = expectShape(body, payload)
    const eventType = action === undefined ? event : `${event}.${action}`
    // The signature covers no header. Only the body of an installation's own event describes its account.
    const isAboutInstallation = installation?.account != null
    return {
      delivery: {
        deliveryId,
        eventType,
        externalIds: installation ? [String(installation.id)] : [],
        effect: isAboutInstallation ? (EFFECTS[eventType] ?? null) : null,
        payload,
      },
    }
  },
}
