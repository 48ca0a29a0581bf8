import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { clientAddressReader, isProxyAddress, type TrustedProxies } from './client-address.ts'

/** Where a request seems to come from: its peer, and what `x-forwarded-for` says. */
function clientOf(trusted: TrustedProxies, remoteAddress: string, forwarded?: string): string | undefined {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  const request = { socket: { remoteAddress }, headers } as unknown as IncomingMessage
  return clientAddressReader(trusted)(request)
}

const FORGED = '203.0.113.1, 203.0.113.2, 198.51.100.7'

test.each<[string, TrustedProxies, string, string | undefined, string]>([
  ['nobody trusted', 0, '10.0.0.1', FORGED, '10.0.0.1'],
  ['an empty list', [], '10.0.0.1', FORGED, '10.0.0.1'],
  ['one proxy', 1, '10.0.0.1', FORGED, '198.51.100.7'],
  ['two proxies', 2, '10.0.0.1', FORGED, '203.0.113.2'],
  ['more proxies than addresses', 9, '10.0.0.1', FORGED, '203.0.113.1'],
  ['no header', 1, '10.0.0.1', undefined, '10.0.0.1'],
  ['an empty header', 1, '10.0.0.1', '', '10.0.0.1'],
  ['the proxy named', ['10.0.0.1'], '10.0.0.1', FORGED, '198.51.100.7'],
  ['the network named', ['10.0.0.0/8'], '10.9.9.9', FORGED, '198.51.100.7'],
  ['a caller past the proxy', ['10.0.0.0/8'], '192.0.2.44', FORGED, '192.0.2.44'],
  ['two networks', ['10.0.0.0/8', '198.51.100.0/24'], '10.0.0.1', FORGED, '203.0.113.2'],
  ['every address within', ['10.0.0.0/8'], '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ['IPv6', ['2001:db8::/32'], '2001:db8::1', '2001:DB8:ffff::9, 2a00:1450::5', '2a00:1450::5'],
  ['IPv4 in an IPv6 socket', ['10.0.0.0/8'], '::ffff:10.0.0.1', '::ffff:198.51.100.7', '198.51.100.7'],
  ['an IPv6 peer among IPv4 proxies', ['0.0.0.0/1'], '2001:db8::1', FORGED, '2001:db8::1'],
  ['a zone', 1, 'fe80::1%eth0', '198.51.100.7', '198.51.100.7'],
  ['a port', 1, '10.0.0.1', '198.51.100.7:5050', '198.51.100.7'],
  ['a port behind IPv6', 1, '10.0.0.1', '[2001:db8::7]:5050', '2001:db8::7'],
  ['what is no address', 1, '10.0.0.1', '198.51.100.7, unknown', '10.0.0.1'],
  ['what is no address, further on', 2, '10.0.0.1', "' or 1=1, 198.51.100.7", '198.51.100.7'],
  ['an empty entry', 2, '10.0.0.1', '203.0.113.1,, 198.51.100.7', '198.51.100.7'],
])('with %s', (_, trusted, peer, forwarded, client) => {
  expect(clientOf(trusted, peer, forwarded)).toBe(client)
})

test('a connection that has ended has no address', () => {
  const request = { socket: {}, headers: { 'x-forwarded-for': FORGED } } as unknown as IncomingMessage
  expect(clientAddressReader(1)(request)).toBeUndefined()
})

test('what is written in vain is told of once', () => {
  let told = 0
  const read = clientAddressReader(0, () => told++)
  const request = (headers: object) => ({ socket: {}, headers }) as unknown as IncomingMessage
  read(request({}))
  expect(told).toBe(0)
  for (let index = 0; index < 3; index++) read(request({ 'x-forwarded-for': FORGED }))
  expect(told).toBe(1)
})

test.each(['10.0.0.1', '10.0.0.0/8', '2001:db8::1', '2001:db8::/32', '::1', '127.0.0.1/32', 'fc00::/7'])(
  '%s names proxies',
  text => expect(isProxyAddress(text)).toBe(true),
)

test.each(['', 'true', '*', 'localhost', '10.1', '0.0.0.0/0', '::/0', '10.0.0.0/33', '2001:db8::/129'])(
  '"%s" names none',
  text => expect(isProxyAddress(text)).toBe(false),
)

test.each(['10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/-1', '::ffff:10.0.0.1', 'fe80::1%eth0', ' 10.0.0.1'])(
  '"%s" names none either',
  text => expect(isProxyAddress(text)).toBe(false),
)
