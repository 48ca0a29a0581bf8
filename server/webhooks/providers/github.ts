import { z } from 'zod'
import { expectShape, shortText } from '../payload.ts'
import type { ConnectionEffect, WebhookProvider } from '../provider.ts'
import { isSignedWith } from '../signature.ts'

// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
const SIGNATURE = /^sha256=([0-9a-f]{64})$/
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
const MAX_BODY_BYTES = 25 * 1024 * 1024

const EFFECTS: Readonly<Record<string, ConnectionEffect>> = {
  'installation.deleted': 'revoke',
  'installation.suspend': 'suspend',
  'installation.unsuspend': 'unsuspend',
}

const headers = z.object({ event: z.string().regex(/^\w{1,60}$/), deliveryId: shortText })

const body = z.looseObject({
  action: z
    .string()
    .regex(/^[\w-]{1,60}$/)
    .optional(),
  // Events of an app name their installation; those of a repository's own webhook, and pings, do not.
  installation: z.looseObject({ id: z.int().positive(), account: z.looseObject({}).nullish() }).nullish(),
})

export const github: WebhookProvider = {
  secretVariable: 'GITHUB_APP_WEBHOOK_SECRET',
  maxBodyBytes: MAX_BODY_BYTES,
  storedHeaders: ['x-github-event', 'x-github-delivery', 'x-github-hook-id'],

  async verify(request, secret) {
    const signature = SIGNATURE.exec(request.header('x-hub-signature-256') ?? '')?.[1]
    return isSignedWith(secret, [request.body], signature)
  },

  read(request, payload) {
    const { event, deliveryId } = expectShape(headers, {
      event: request.header('x-github-event'),
      deliveryId: request.header('x-github-delivery'),
    })
    const { action, installation } = expectShape(body, payload)
    const eventType = action === undefined ? event : `${event}.${action}`
    // The signature covers no header, so only the body shows that an event is about an installation: it then
    // describes its account.
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
