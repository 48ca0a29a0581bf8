import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * The proxies whose word about their caller is believed: how many stand in front, or their addresses and networks. 0 and an empty
 * list: nobody's.
 */
export type TrustedProxies = number | readonly string[]

/** Where a request comes from. Undefined once its connection has ended. */
export type ReadClientAddress = (req: IncomingMessage) => string | undefined

type Address = ReturnType<typeof ipaddr.process>

/**
 * Finds a request's client. Each proxy appends the address that called it to `x-forwarded-for`, so the header is read from its
 * end, for as long as whoever wrote there is trusted; what stands before that is anyone's to write. Where nobody is trusted,
 * `onFirstIgnored` is called for the first such header.
 */
export function clientAddressReader(
  trusted: TrustedProxies = 0,
  onFirstIgnored?: () => void,
): ReadClientAddress {
  if (trusted === 0 || (typeof trusted === 'object' && trusted.length === 0)) {
    let isTold = onFirstIgnored === undefined
    return req => {
      if (!isTold && req.headers['x-forwarded-for'] !== undefined) {
        isTold = true
        onFirstIgnored?.()
      }
      return req.socket.remoteAddress
    }
  }
  const isTrusted = typeof trusted === 'number' ? (_: Address, hop: number) => hop < trusted : within(trusted)
  return req => {
    const peer = parseAddress(req.socket.remoteAddress ?? '')
    if (!peer) return req.socket.remoteAddress
    let client = peer
    for (const [hop, text] of forwardedFor(req).reverse().entries()) {
      if (!isTrusted(client, hop)) break
      const next = parseAddress(withoutPort(text))
      // A trusted proxy wrote no address ("unknown"): the proxy itself is the nearest that is known.
      if (!next) break
      client = next
    }
    return client.toString()
  }
}

/** Whether this is an address or a network, IPv4 written as such, and not all of the internet. */
export function isProxyAddress(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  if (isIP(address) === 0 || address.includes('%') || rest.length > 0) return false
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) return false
  if (bits === undefined) return true
  return /^\d{1,3}$/.test(bits) && Number(bits) > 0 && Number(bits) <= (isIP(address) === 4 ? 32 : 128)
}

function within(proxies: readonly string[]): (address: Address) => boolean {
  const networks = proxies.map(text => {
    const [address = '', bits] = text.split('/')
    const network = ipaddr.parse(address)
    return [network, bits === undefined ? network.toByteArray().length * 8 : Number(bits)] as const
  })
  return address =>
    networks.some(([network, bits]) => network.kind() === address.kind() && address.match([network, bits]))
}

function forwardedFor(req: IncomingMessage): string[] {
  const header = req.headers['x-forwarded-for']
  const text = Array.isArray(header) ? header.join(',') : header
  return text === undefined ? [] : text.split(',').map(part => part.trim())
}

/** Some proxies write the port along: `192.0.2.1:5050`, `[2001:db8::1]:5050`. */
function withoutPort(text: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
}

/** An IPv4 address, also where it is written as an IPv6 one; null for anything else than an address. */
function parseAddress(text: string): Address | null {
  return isIP(text) === 0 ? null : ipaddr.process(text.replace(/%.*$/, ''))
}
