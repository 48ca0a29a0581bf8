import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from '../config.ts'
import { readEnvFile } from './env-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'rowhouse-env-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function read(content: string | Buffer) {
  const path = join(directory, 'env')
  writeFileSync(path, content)
  return readEnvFile(path)
}

test.each<[string, string | Buffer, Record<string, string>]>([
  ['a byte-order mark', '\uFEFFA=1\nB=2\n', { A: '1', B: '2' }],
  ['two bytes a character', Buffer.from('\uFEFFA=1\r\nB=ä\r\n', 'utf16le'), { A: '1', B: 'ä' }],
  ['line ends of Windows', 'A=1\r\nB="x y"\r\n', { A: '1', B: 'x y' }],
  ['line ends of an old Mac', 'A=1\rB=2\r', { A: '1', B: '2' }],
  ['export in front', 'export A=1\n  export  B = 2', { A: '1', B: '2' }],
  [
    'quotes and comments',
    `# c\nA="#x" # c\nB='y"z'\nC=\`w\`\nD=1 # c\nE=\n`,
    {
      A: '#x',
      B: 'y"z',
      C: 'w',
      D: '1',
      E: '',
    },
  ],
  ['values over lines', 'A="one\ntwo"\nB=2', { A: 'one\ntwo', B: '2' }],
  ['a name twice: the last value counts', 'A=1\nB=2\nA=3', { A: '3', B: '2' }],
])('%s', (_, content, expected) => {
  expect(read(content)).toEqual(expected)
})

test.each([
  ['A=1\nPORT: s3cret\nB=2', 2],
  ['A=1\nB', 2],
  ['A="s3cret\nB=2\nC=3', 1],
  ["\nA='s3cret\nB=2", 2],
  ['A="x" s3cret\n', 1],
  ['=s3cret', 1],
  ['A="one\ntwo"\ns3cret', 3],
])('%j is refused by its line, without what it says', (content, line) => {
  const attempt = () => read(content)
  expect(attempt).toThrow(ConfigError)
  expect(attempt).toThrow(`has a line ${line} that is no NAME=value`)
  expect(attempt).not.toThrow(/s3cret/)
})

test('bytes that are no UTF-8 are refused', () => {
  expect(() => read(Buffer.from([0x41, 0x3d, 0xff, 0x0a]))).toThrow('is not UTF-8 text')
})

test('the example that comes along is read', () => {
  expect(readEnvFile('.env.example')).toMatchObject({ PORT: '3000', DATABASE_URL: '' })
})

test('a command reads the first variable of a file with a byte-order mark', () => {
  const script = `
    import { loadConfig, loadEnvFile } from '${new URL('../config.ts', import.meta.url).href}'
    loadEnvFile()
    console.log(loadConfig().port)`
  writeFileSync(join(directory, '.env'), '\uFEFFPORT=4321\r\nHOST="::1"\r\n')
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: '/usr/bin' },
  })
  expect(output.trim()).toBe('4321')
})
