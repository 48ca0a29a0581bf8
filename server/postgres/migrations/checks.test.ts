import { expect, it } from 'vitest'
import { ruleOf } from './checks.ts'

it.each([
  [`CHECK ((status = ANY (ARRAY['a'::text, 'it''s'::text])))`, 'status', { values: ['a', "it's"] }],
  [
    `CHECK ((VALUE = ANY (ARRAY['notion'::text, 'github'::text])))`,
    'VALUE',
    { values: ['notion', 'github'] },
  ],
  [`CHECK ((scopes <@ ARRAY['a'::text, 'b'::text]))`, 'scopes', { values: ['a', 'b'] }],
  [`CHECK (((length(name) >= 1) AND (length(name) <= 100)))`, 'name', { minLength: 1, maxLength: 100 }],
  [`CHECK (((slug ~ '^[a-z]+$'::text) AND (length(slug) <= 100)))`, 'slug', { maxLength: 100 }],
  [`CHECK (((progress >= 0) AND (progress <= 100)))`, 'progress', { min: 0, max: 100 }],
  [`CHECK ((seq > 0))`, 'seq', { min: 1 }],
  [`CHECK (("offset" >= 0))`, '"offset"', { min: 0 }],
  [
    `CHECK (((seconds >= (0)::double precision) AND (seconds <= ('1000000000'::numeric)::double precision)))`,
    'seconds',
    { min: 0, max: 1_000_000_000 },
  ],
])('of %s', (definition, column, rule) => {
  expect(ruleOf(definition, column)).toEqual(rule)
})

it.each([
  [`CHECK (((status <> 'a'::text) OR (status = ANY (ARRAY['b'::text]))))`, 'status'],
  [`CHECK (((decided_at IS NULL) = (status = ANY (ARRAY['b'::text]))))`, 'status'],
  [`CHECK ((octet_length(hash) = 32))`, 'hash'],
  [`CHECK ((octet_length(hash) <= 32))`, 'hash'],
  [`CHECK ((jsonb_typeof(settings) = 'object'::text))`, 'settings'],
  [`CHECK ((name ~ 'length\\(name\\) <= 3'::text))`, 'name'],
  [`CHECK ((other = ANY (ARRAY['a'::text])))`, 'status'],
])('returns no rule for %s', (definition, column) => {
  expect(ruleOf(definition, column)).toEqual({})
})
