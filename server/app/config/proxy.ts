import { isProxyAddress, type TrustedProxies } from '#server/http/client-address.ts'
import type { ConfigReader } from './reader.ts'

/** More stand in front of no server; a larger number was meant for something else. */
const MAX_PROXIES = 10

/** Whose `x-forwarded-for` is believed. To believe everybody's can't be asked for: each caller would choose its own address. */
export function readTrustProxy(reader: ConfigReader): TrustedProxies {
  const text = reader.text('TRUST_PROXY') ?? '0'
  if (/^\d{1,2}$/.test(text) && Number(text) <= MAX_PROXIES) return Number(text)
  const proxies = text.split(',').flatMap(part => part.trim() || [])
  if (proxies.length > 0 && proxies.every(isProxyAddress)) return proxies
  reader.refuse(
    'TRUST_PROXY',
    `must be how many proxies stand in front (at most ${MAX_PROXIES}), or their addresses and networks, not "${text}"`,
    '10.0.0.0/8,192.0.2.7',
  )
  return 0
}
