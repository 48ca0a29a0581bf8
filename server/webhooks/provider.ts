import type { Json } from '#server/rpc/inputs.ts'

/** What came in, before anything of it is believed. */
export interface WebhookRequest {
  /** As it came over the wire: signatures are over bytes. */
  readonly body: Buffer
  /** The header's value; null where there is none, or more than one, or an empty one. */
  header(name: string): string | null
}

/** A request whose signature fits. */
interface VerifiedRequest extends WebhookRequest {
  /** SHA-256 of the body. */
  readonly bodyHash: Buffer
}

/** What an event does to the connections that it reaches. */
export type ConnectionEffect = 'revoke' | 'suspend' | 'unsuspend'

/** What a verified body says. */
interface Delivery {
  /** The provider's id of it, the same for every copy. */
  readonly deliveryId: string
  readonly eventType: string
  /** The workspaces, installations or teams that it is about, as connections store them. */
  readonly externalIds: readonly string[]
  /** Null where the event is only noted. */
  readonly effect: ConnectionEffect | null
  readonly payload: JsonObject
}

export interface JsonObject {
  [name: string]: Json
}

/** A delivery to store, or the text that a verified question wants for an answer. */
type Reading = { readonly delivery: Delivery } | { readonly answer: string }

/**
 * The one shape of `providers/<name>.ts`. What a provider's library does is imported by the first request
 * that needs it.
 */
export interface WebhookProvider {
  /** The variable that holds what the provider signs with. */
  readonly secretVariable: string
  /** The largest body that the provider documents; everyone else's limit where it documents none. */
  readonly maxBodyBytes?: number
  /** Headers that are stored with a delivery; never a signature. */
  readonly storedHeaders: readonly string[]
  /**
   * The secret in a payload, of a provider that makes it up itself and sends it, unsigned, before it signs
   * anything. Null for any other payload.
   */
  secretIn?(payload: JsonObject): string | null
  /**
   * Whether the request is the provider's, and recent where the scheme tells. Throws for no input whatsoever.
   */
  verify(request: WebhookRequest, secret: string): Promise<boolean>
  /** Reads a verified request. Throws `invalid_input` where it is not of the provider's documented form. */
  read(request: VerifiedRequest, payload: JsonObject): Reading
}
