import { z } from 'zod'
import { AppError } from '#server/rpc/errors.ts'
import { expectShape, shortText } from '../payload.ts'
import type { WebhookProvider } from '../provider.ts'
import { isSignedWith } from '../signature.ts'

// https://linear.app/developers/webhooks

const body = z.looseObject({
  type: shortText,
  action: shortText.nullish(),
  organizationId: shortText.nullish(),
  /** When the first attempt was signed, in milliseconds. */
  webhookTimestamp: z.unknown(),
})

/** How long the database keeps deliveries, by which it recognises copies. */
const RETENTION_MS = 30 * 24 * 60 * 60 * 1_000

export const linear: WebhookProvider = {
  secretVariable: 'LINEAR_WEBHOOK_SECRET',
  storedHeaders: ['linear-delivery', 'linear-event'],

  // Linear's own verifier refuses a body signed more than a minute ago, and so every retry: Linear sends the
  // same bytes again after a minute, an hour and six hours. Copies are recognised by their bytes.
  async verify(request, secret) {
    return isSignedWith(secret, [request.body], request.header('linear-signature') ?? undefined)
  },

  read({ bodyHash }, payload) {
    const { type, action, organizationId, webhookTimestamp } = expectShape(body, payload)
    if (typeof webhookTimestamp === 'number' && Date.now() - webhookTimestamp > RETENTION_MS) {
      throw new AppError('unauthenticated', 'the body is older than the time for which copies are recognised')
    }
    const eventType = action ? `${type}.${action}` : type
    return {
      delivery: {
        // The id in the header is not signed.
        deliveryId: `sha256:${bodyHash.toString('hex')}`,
        eventType,
        externalIds: organizationId ? [organizationId] : [],
        effect: eventType === 'OAuthApp.revoked' ? 'revoke' : null,
        payload,
      },
    }
  },
}
