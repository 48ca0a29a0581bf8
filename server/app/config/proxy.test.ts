import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadConfig } from '../config.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-config-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const load = (TRUST_PROXY?: string) => loadConfig({ DATA_DIR: dataDir, TRUST_PROXY })

test.each([
  [undefined, 0],
  ['', 0],
  ['0', 0],
  ['1', 1],
  ['10', 10],
  ['10.0.0.1', ['10.0.0.1']],
  [' 10.0.0.0/8, 2001:db8::/32 ,', ['10.0.0.0/8', '2001:db8::/32']],
])('TRUST_PROXY=%j trusts %j', (text, trusted) => {
  expect(load(text).trustProxy).toEqual(trusted)
})

test.each([
  'true',
  '*',
  '11',
  '-1',
  '1.5',
  'loopback',
  '0.0.0.0/0',
  '10.0.0.1;10.0.0.2',
  '10.0.0.1, proxy',
  ',',
])('TRUST_PROXY=%j is refused', text => {
  expect(() => load(text)).toThrow(
    `TRUST_PROXY must be how many proxies stand in front (at most 10), or their addresses and networks, not "${text}". ` +
      'Example: TRUST_PROXY=10.0.0.0/8,192.0.2.7',
  )
})
