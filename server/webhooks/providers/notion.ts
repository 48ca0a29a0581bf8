import { z } from 'zod'
import { expectShape, shortText } from '../payload.ts'
import type { JsonObject, WebhookProvider } from '../provider.ts'

// https://developers.notion.com/reference/webhooks

const body = z.looseObject({ id: shortText, type: shortText, workspace_id: shortText.nullish() })

const handshake = z.looseObject({
  verification_token: z.string().regex(/^[\w-]{16,200}$/),
  // Only events have these members.
  id: z.never().optional(),
  type: z.never().optional(),
})

/** The token of a new subscription, which Notion sends once and signs later deliveries with. */
function verificationTokenOf(payload: JsonObject): string | null {
  return handshake.safeParse(payload).data?.verification_token ?? null
}

export const notion: WebhookProvider = {
  secretVariable: 'NOTION_WEBHOOK_TOKEN',
  storedHeaders: [],
  secretIn: verificationTokenOf,

  async verify(request, secret) {
    const signature = request.header('x-notion-signature')
    if (signature === null) return false
    const { verifyWebhookSignature } = await import('@notionhq/client')
    return verifyWebhookSignature({ body: request.body, signature, verificationToken: secret })
  },

  read(_request, payload) {
    if (verificationTokenOf(payload) !== null) return { answer: '' }
    const { id, type, workspace_id: workspaceId } = expectShape(body, payload)
    return {
      delivery: {
        deliveryId: id,
        eventType: type,
        externalIds: workspaceId ? [workspaceId] : [],
        effect: null,
        payload,
      },
    }
  },
}
