import { z } from 'zod'
import { expectShape, shortText } from '../payload.ts'
import type { WebhookProvider } from '../provider.ts'
import { isSignedWith } from '../signature.ts'

// https://docs.slack.dev/authentication/verifying-requests-from-slack
const SIGNATURE = /^v0=([0-9a-f]{64})$/
const TIMESTAMP = /^\d{1,12}$/
const MAX_SKEW_SECONDS = 5 * 60

const challenge = z.looseObject({ type: z.literal('url_verification'), challenge: z.string().max(1_000) })

const callback = z.looseObject({
  type: z.literal('event_callback'),
  event_id: shortText,
  team_id: shortText.nullish(),
  authorizations: z
    .array(
      z.looseObject({
        team_id: shortText.nullish(),
        enterprise_id: shortText.nullish(),
        is_enterprise_install: z.boolean().nullish(),
      }),
    )
    .nullish(),
  event: z.looseObject({
    type: shortText,
    tokens: z.looseObject({ bot: z.array(z.string()).nullish() }).nullish(),
  }),
})

const rateLimited = z.looseObject({
  type: z.literal('app_rate_limited'),
  team_id: shortText,
  minute_rate_limited: z.int(),
})

const body = z.discriminatedUnion('type', [challenge, callback, rateLimited])

export const slack: WebhookProvider = {
  secretVariable: 'SLACK_SIGNING_SECRET',
  storedHeaders: ['x-slack-retry-num', 'x-slack-retry-reason'],

  async verify(request, secret) {
    const signature = SIGNATURE.exec(request.header('x-slack-signature') ?? '')?.[1]
    const timestamp = request.header('x-slack-request-timestamp') ?? ''
    if (!TIMESTAMP.test(timestamp)) return false
    if (Math.abs(Date.now() / 1_000 - Number(timestamp)) > MAX_SKEW_SECONDS) return false
    return isSignedWith(secret, [`v0:${timestamp}:`, request.body], signature)
  },

  read(_request, payload) {
    const content = expectShape(body, payload)
    if (content.type === 'url_verification') return { answer: content.challenge }
    // Slack's old verification token, which is a secret of the app.
    const { token: _token, ...kept } = payload
    if (content.type === 'app_rate_limited') {
      const { team_id: teamId, minute_rate_limited: minute } = content
      return {
        delivery: {
          deliveryId: `app_rate_limited:${teamId}:${minute}`,
          eventType: content.type,
          externalIds: [teamId],
          effect: null,
          payload: kept,
        },
      }
    }
    return {
      delivery: {
        deliveryId: content.event_id,
        eventType: content.event.type,
        externalIds: teamsOf(content),
        effect: endsAccess(content.event) ? 'revoke' : null,
        payload: kept,
      },
    }
  },
}

/** The installations that may see the event. In a shared channel, `team_id` may be another team's. */
function teamsOf({ authorizations, team_id: teamId }: z.output<typeof callback>): string[] {
  const authorized = (authorizations ?? []).flatMap(
    one => (one.is_enterprise_install ? one.enterprise_id : one.team_id) ?? [],
  )
  return authorized.length > 0 ? [...new Set(authorized)] : teamId ? [teamId] : []
}

/** A connection uses the app's bot token, so the tokens of single users do not matter. */
function endsAccess({ type, tokens }: z.output<typeof callback>['event']): boolean {
  return type === 'app_uninstalled' || (type === 'tokens_revoked' && (tokens?.bot ?? []).length > 0)
}
