import type { ValidateFunction } from 'ajv/dist/2020.js'
import { AppError } from '#server/rpc/errors.ts'
import type { Json } from '#server/rpc/inputs.ts'

/** Bounds memory: compiling takes milliseconds, and the catalogue has a few dozen schemas at most. */
const MAX_COMPILED = 200
const compiled = new Map<string, ValidateFunction>()

/** Throws `invalid_input` if a config does not match the tool's schema (JSON Schema 2020-12). */
export async function checkConfig(slug: string, schema: Json, config: Json): Promise<void> {
  const validate = await validatorOf(schema)
  if (validate(config)) return
  const [error] = validate.errors ?? []
  const place = error?.instancePath ? ` at ${error.instancePath}` : ''
  throw new AppError(
    'invalid_input',
    `the config of tool "${slug}"${place} ${error?.message ?? 'is invalid'}`,
  )
}

async function validatorOf(schema: Json): Promise<ValidateFunction> {
  const key = JSON.stringify(schema)
  const known = compiled.get(key)
  if (known) return known
  if (typeof schema !== 'object' || schema === null) throw new TypeError('a config schema must be an object')
  const { Ajv2020 } = await import('ajv/dist/2020.js')
  // A new instance for each schema, because an instance keeps all schemas that it compiled.
  const validate = new Ajv2020({ strict: true }).compile(schema)
  if (compiled.size >= MAX_COMPILED) compiled.clear()
  compiled.set(key, validate)
  return validate
}
