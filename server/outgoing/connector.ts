import { promises as dns, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { whyNotPublic } from './addresses.ts'
import { OutgoingError, withoutPublicAddress } from './errors.ts'

/** All addresses of a name, as a connection may use them. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>

const systemResolve: Resolve = hostname => dns.lookup(hostname, { all: true })

/**
 * Opens connections to public addresses only. A name's addresses are checked where they are used: the
 * connection goes to one of the addresses that were checked, and is looked at once more when it stands, so an
 * answer that changes between two lookups gains nothing. A name with any address that is not public is
 * refused as a whole, in the words of one that does not exist: a caller must not learn what the names of this
 * network stand for.
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
