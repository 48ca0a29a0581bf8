import type { Json } from '#server/rpc/inputs.ts'

/** A request that is not verified yet. */
export interface WebhookRequest {
  /** The received bytes, which signatures cover. */
  readonly body: Buffer
  /** The header's value; null if it is missing, repeated or empty. */
  header(name: string): string | null
}

/** A request with a valid signature. */
interface VerifiedRequest extends WebhookRequest {
  /** SHA-256 of the body. */
  readonly bodyHash: Buffer
}

/** The effect of an event on the connections that it concerns. */
export type ConnectionEffect = 'revoke' | 'suspend' | 'unsuspend'

/** The content of a verified body. */
interface Delivery {
  /** The provider's id of the delivery, the same for every copy. */
  readonly deliveryId: string
  readonly eventType: string
  /** The workspaces, installations or teams that it concerns, as connections store them. */
  readonly externalIds: readonly string[]
  /** Null if the event is only recorded. */
  readonly effect: ConnectionEffect | null
  readonly payload: JsonObject
}

export interface JsonObject {
  [name: string]: Json
}

/** A delivery to store, or the text with which to answer a verified question. */
type Reading = { readonly delivery: Delivery } | { readonly answer: string }

/**
 * The interface of `providers/<name>.ts`. A provider's library is imported by the first request that needs
 * it.
 */
export interface WebhookProvider {
  /** The environment variable with the provider's signing secret. */
  readonly secretVariable: string
  /** The provider's documented maximum body size; the default limit if it documents none. */
  readonly maxBodyBytes?: number
  /** The headers to store with a delivery; never a signature. */
  readonly storedHeaders: readonly string[]
  /**
   * The secret in a payload, for a provider that generates its own and sends it unsigned before it signs
   * anything. Null for any other payload.
   */
  secretIn?(payload: JsonObject): string | null
  /** Returns whether the provider signed the request, recently if the scheme has a time. Never throws. */
  verify(request: WebhookRequest, secret: string): Promise<boolean>
  /** Parses a verified request. Throws `invalid_input` if it does not have the provider's documented form. */
  read(request: VerifiedRequest, payload: JsonObject): Reading
}
