export type OutgoingFailure = 'refused' | 'unreachable' | 'timeout' | 'too_large'

/**
 * A request without a complete answer. The message names at most the host: a URL's path and query may contain
 * secrets.
 */
export class OutgoingError extends Error {
  override readonly name = 'OutgoingError'
  readonly kind: OutgoingFailure

  constructor(kind: OutgoingFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/** The same error for a name that does not exist and for one with a private address. */
export function withoutPublicAddress(host: string): string {
  return `${host} ${CODES.ENOTFOUND}`
}

const CODES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'has no public address',
  EAI_AGAIN: 'has no public address',
  ECONNREFUSED: 'refuses connections',
  ECONNRESET: 'closed the connection',
  UND_ERR_SOCKET: 'closed the connection',
  EPIPE: 'closed the connection',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached',
  ETIMEDOUT: 'did not answer in time',
  UND_ERR_CONNECT_TIMEOUT: 'did not answer in time',
  UND_ERR_HEADERS_TIMEOUT: 'did not answer in time',
  UND_ERR_BODY_TIMEOUT: 'did not answer in time',
  UND_ERR_HEADERS_OVERFLOW: 'sent too large headers',
  CERT_HAS_EXPIRED: 'has an expired certificate',
  ERR_TLS_CERT_ALTNAME_INVALID: 'has a certificate for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'has a self-signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'has a self-signed certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'has a certificate of an unknown issuer',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'has a certificate of an unknown issuer',
}

/**
 * Turns an error of fetch or of its body into an OutgoingError. Drops the original text, which may quote the
 * request.
 */
export function outgoingError(error: unknown, host: string): OutgoingError {
  for (const cause of causes(error)) {
    if (cause instanceof OutgoingError) return cause
    // fetch refuses the ports of mail, DNS and similar protocols, whose servers could misread a request.
    if (cause.message === 'bad port')
      return new OutgoingError('refused', `refused: the port of ${host} is for another protocol`)
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    const words = CODES[code] ?? (/^HPE_|^ERR_SSL_|^EPROTO$/.test(code) ? 'does not speak HTTP here' : null)
    if (words) return new OutgoingError('unreachable', `${host} ${words}`, { cause: error })
  }
  return new OutgoingError('unreachable', `${host} could not be asked`, { cause: error })
}

function* causes(error: unknown): Generator<Error> {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    yield at
    if (at instanceof AggregateError) for (const part of at.errors) if (part instanceof Error) yield part
  }
}
