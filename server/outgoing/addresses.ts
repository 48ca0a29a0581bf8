import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

type Parsed = ReturnType<typeof ipaddr.parse>

// The names of ipaddr.js's ranges for errors; a range that is not listed is "reserved".
const WORDS: Readonly<Record<string, string>> = {
  private: 'a private address',
  uniqueLocal: 'a private address',
  deprecatedSiteLocal: 'a private address',
  loopback: 'a loopback address',
  linkLocal: 'a link-local address',
  carrierGradeNat: 'a carrier-grade NAT address',
  multicast: 'a multicast address',
  broadcast: 'a broadcast address',
  unspecified: 'an unspecified address',
}

/** A public address at which Azure hosts answer their own guests. */
const AZURE_HOST = '168.63.129.16'

/**
 * Returns why a request for a user must not go to this address, to follow "is"; null for the public internet.
 * Allows only addresses known to be public: not an IPv6 address outside 2000::/3 or in a transition range,
 * unless it contains (mapped, NAT64) an IPv4 address that is public.
 */
export function whyNotPublic(address: string): string | null {
  if (isIP(address) === 0) return 'not an IP address'
  const parsed = ipaddr.parse(isIP(address) === 6 ? inDigits(address) : address)
  const inner = embedded(parsed)
  if (inner) return whyNotPublic(inner)
  if (parsed.toString() === AZURE_HOST) return 'an address of the hosting platform'
  const range = parsed.range()
  if (range !== 'unicast') return WORDS[range] ?? 'a reserved address'
  return parsed instanceof ipaddr.IPv6 && !isGlobalUnicast(parsed) ? 'a reserved address' : null
}

// ipaddr.js parses ::10.0.0.1 like ::ffff:10.0.0.1; a URL writes an address without dots and without a zone.
function inDigits(address: string): string {
  return new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1)
}

function isGlobalUnicast(address: ipaddr.IPv6): boolean {
  return address.match(ipaddr.IPv6.parse('2000::'), 3)
}

/** The IPv4 address to which a translator sends packets to this address. */
function embedded(address: Parsed): string | null {
  if (!(address instanceof ipaddr.IPv6)) return null
  const isCarrier =
    address.isIPv4MappedAddress() || address.match(ipaddr.IPv6.parse('64:ff9b::'), 96) || isIsatap(address)
  return isCarrier ? address.toByteArray().slice(12).join('.') : null
}

// ISATAP embeds an IPv4 address in the last half of any prefix.
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  return ((parts[4] ?? 0) & 0xfdff) === 0 && parts[5] === 0x5efe
}
