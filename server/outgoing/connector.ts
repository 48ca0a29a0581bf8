import { promises as dns, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { whyNotPublic } from './addresses.ts'
import { OutgoingError, withoutPublicAddress } from './errors.ts'

/** Resolves a name to all addresses that a connection may use. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>

const systemResolve: Resolve = hostname => dns.lookup(hostname, { all: true })

/**
 * Opens connections to public addresses only. Checks the addresses at their use: connects to one of the
 * checked addresses and checks the connection's address again, so that an answer that changes between two
 * lookups gains nothing. A name with any address that is not public is refused as a whole, with the error for
 * a name that does not exist: a caller must not learn which names the server's network resolves.
 */
export function createPublicConnector(
  timeoutMs: number,
  resolve: Resolve = systemResolve,
): buildConnector.connector {
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname).then(
      addresses => {
        const refused = refusalOfAll(hostname, addresses)
        const [first] = addresses
        if (refused) callback(refused, [])
        else if (options.all || !first) callback(null, [...addresses])
        else callback(null, first.address, first.family)
      },
      error => callback(error, []),
    )
  }
  const connect = buildConnector({ allowH2: false, timeout: timeoutMs, lookup, maxCachedSessions: 0 })
  return (options, callback) => {
    const host = options.hostname.replace(/^\[(.*)\]$/, '$1')
    const reason = isIP(host) ? whyNotPublic(host) : null
    if (reason) return callback(new OutgoingError('refused', `refused: ${host} is ${reason}`), null)
    connect(options, (...result) => {
      const [error, socket] = result
      if (error) return callback(error, null)
      const why = whyNotPublic(socket.remoteAddress ?? '')
      if (!why) return callback(null, socket)
      socket.destroy()
      callback(new OutgoingError('refused', withoutPublicAddress(host)), null)
    })
  }
}

function refusalOfAll(host: string, addresses: readonly LookupAddress[]): OutgoingError | null {
  if (addresses.length > 0 && addresses.every(({ address }) => whyNotPublic(address) === null)) return null
  return new OutgoingError('refused', withoutPublicAddress(host))
}
