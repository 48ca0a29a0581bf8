import { hash } from 'node:crypto'
import { z } from 'zod'
import { expectShape, shortText } from '../payload.ts'
import type { WebhookProvider } from '../provider.ts'

// https://linear.app/developers/webhooks

const body = z.looseObject({
  type: shortText,
  action: shortText.nullish(),
  organizationId: shortText.nullish(),
})

export const linear: WebhookProvider = {
  storedHeaders: ['linear-delivery', 'linear-event'],

  // Linear's own verifier also refuses a `webhookTimestamp` in the body that is more than a minute off.
  async verify(request, secret) {
    const signature = request.header('linear-signature')
    if (signature === null) return false
    const { LinearWebhookClient } = await import('@linear/sdk/webhooks')
    try {
      return new LinearWebhookClient(secret).verify(request.body, signature)
    } catch {
      return false
    }
  },

  read(request, payload) {
    const { type, action, organizationId } = expectShape(body, payload)
    const eventType = action ? `${type}.${action}` : type
    return {
      delivery: {
        // Of the two only the body is signed, but a delivery that is repeated has another timestamp in it.
        deliveryId: expectShape(
          shortText,
          request.header('linear-delivery') ?? `sha256:${hash('sha256', request.body)}`,
        ),
        eventType,
        externalIds: organizationId ? [organizationId] : [],
        effect: eventType === 'OAuthApp.revoked' ? 'revoke' : null,
        payload,
      },
    }
  },
}
