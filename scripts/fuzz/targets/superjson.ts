import { FORGED, type FuzzedServer, JSON_TYPE } from '../house.ts'
import { fitted } from '../shapes.ts'
import { defineTarget, type FuzzTarget } from '../target.ts'

/** `count` parts of `bytes` each, joined. */
function many(sizeBytes: number, bytes: number, partOf: (index: number, count: number) => string): string {
  const count = Math.max(1, Math.floor(sizeBytes / bytes))
  return Array.from({ length: count }, (_, index) => partOf(index, count)).join(',')
}

const NEST = 190

/** Inputs whose `meta` declares types of values, or shared values. */
const INPUTS: Readonly<Record<string, (sizeBytes: number) => string>> = {
  'one object at the end of a Set': size =>
    `{"json":{"s":[${many(size / 2, 6, String)}],"o":{}},"meta":{"values":{"s":["set"]},"referentialEqualities":{"o":[${many(size / 2, 10, () => `"s.${Math.floor(size / 12) - 1}"`)}]},"v":1}}`,
  'one object at the end of a Map': size =>
    `{"json":{"s":[${many(size / 2, 10, index => `[${index},0]`)}],"o":{}},"meta":{"values":{"s":["map"]},"referentialEqualities":{"o":[${many(size / 2, 12, () => `"s.${Math.floor(size / 20) - 1}.1"`)}]},"v":1}}`,
  'kinds in a Set': size =>
    `{"json":[${many(size / 3, 8, index => `[${index}]`)}],"meta":{"values":[["set",{${many(size / 2, 24, (index, count) => `"${count - index}.0":["undefined"]`)}}]],"v":1}}`,
  'Dates in a list': size =>
    `{"json":[${many(size / 3, 7, () => '"1970"')}],"meta":{"values":{${many(size / 2, 18, index => `"${index}":["Date"]`)}},"v":1}}`,
  'as many Dates as may be': size =>
    `{"json":[${many(Math.min(size / 3, 70_000), 7, () => '"1970"')}],"meta":{"values":{${many(Math.min(size / 3, 70_000), 7, index => `"${index}":["Date"]`)}},"v":1}}`,
  'values far down': size =>
    `{"json":${'['.repeat(NEST)}0${']'.repeat(NEST)},"meta":{"values":{${many(size, 2 * NEST + 16, index => `"${'0.'.repeat(NEST - 1)}${'0'.repeat(index)}":["undefined"]`)}},"v":1}}`,
  'objects shared far down': size =>
    `{"json":${'['.repeat(NEST)}0${']'.repeat(NEST)},"meta":{"referentialEqualities":{"":[${many(size, 2 * NEST + 2, () => `"${'0.'.repeat(NEST - 1)}0"`)}]},"v":1}}`,
  'many shared objects': size =>
    `{"json":[{}],"meta":{"referentialEqualities":{${many(size, 14, index => `"${index}":["0"]`)}},"v":1}}`,
  'one long path': size => `{"json":{},"meta":{"values":{"${'a.'.repeat(size / 2)}a":["Date"]},"v":1}}`,
  'one long name': size => `{"json":{},"meta":{"values":{"${'a'.repeat(size)}":["Date"]},"v":1}}`,
  'a long path of backslashes': size =>
    `{"json":{},"meta":{"values":{"${'\\\\\\\\'.repeat(size / 4)}":["Date"]},"v":1}}`,
  'a long path of an older version': size =>
    `{"json":{},"meta":{"values":{"${'\\\\'.repeat(size / 2)}.":["Date"]}}}`,
  'a long kind': size => `{"json":{},"meta":{"values":["${'a'.repeat(size)}"]}}`,
  'a long Date': size => `{"json":"${'('.repeat(size)}","meta":{"values":["Date"]}}`,
  'a long number': size => `{"json":"${'9'.repeat(size)}","meta":{"values":["number"]}}`,
  'a long bigint': size => `{"json":"${'9'.repeat(size)}","meta":{"values":["bigint"]}}`,
  'a long regular expression': size =>
    `{"json":"/${'(a+)+'.repeat(size / 5)}/","meta":{"values":["regexp"]}}`,
  'a long URL': size => `{"json":"https://${'a.'.repeat(size / 2)}","meta":{"values":["URL"]}}`,
}

export function superjsonTargets(server: FuzzedServer): FuzzTarget[] {
  const headers = { ...FORGED, ...JSON_TYPE }
  return Object.entries(INPUTS).flatMap(([name, inputOf]) => [
    defineTarget({
      group: 'superjson: a call',
      name,
      generate: sizeBytes => Buffer.from(fitted(inputOf, sizeBytes)),
      run: body => server.send({ method: 'POST', path: '/trpc/tasks.create', headers, body }),
    }),
    defineTarget({
      group: 'superjson: a batch',
      name,
      generate: sizeBytes => Buffer.from(fitted(size => batchOf(inputOf(size / BATCH)), sizeBytes)),
      run: body => server.send({ method: 'POST', path: `/trpc/${BATCH_PATH}?batch=1`, headers, body }),
    }),
    defineTarget({
      group: 'superjson: a streamed batch',
      name,
      generate: sizeBytes => Buffer.from(fitted(size => `{"0":${inputOf(size)}}`, sizeBytes)),
      run: body =>
        server.send({
          method: 'POST',
          path: '/trpc/tasks.create?batch=1',
          headers: { ...headers, 'trpc-accept': 'application/jsonl' },
          body,
        }),
    }),
  ])
}

const BATCH = 20
const BATCH_PATH = Array(BATCH).fill('tasks.create').join(',')

function batchOf(input: string): string {
  return `{${Array.from({ length: BATCH }, (_, index) => `"${index}":${input}`).join(',')}}`
}
