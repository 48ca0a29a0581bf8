import { hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { callTRPCProcedure, getTRPCErrorFromUnknown } from '@trpc/server'
import superjson from 'superjson'
import type { Services } from '#server/app/services.ts'
import { describeError } from '#server/http/trpc/call-error.ts'
import { type ContextInput, contextFactory } from '#server/rpc/context.ts'
import { appRouter } from '#server/rpc/router.ts'
import type { Scope } from '#server/rpc/scopes.ts'
import type { ProcedureMeta } from '#server/rpc/trpc.ts'

export interface Answer {
  readonly status: number
  /** What goes over the wire, as text. */
  readonly body: string
}

export interface Call {
  readonly path: string
  readonly input?: unknown
  readonly headers?: ContextInput['headers']
}

interface ProcedureDefinition {
  readonly _def: {
    readonly type: 'query' | 'mutation' | 'subscription'
    readonly meta: ProcedureMeta
    readonly inputs: unknown[]
  }
}

// By path while running, and nested by type.
const definitions = appRouter._def.procedures as unknown as Record<string, ProcedureDefinition>

/** Every procedure of the router. */
export const procedures = Object.entries(definitions).map(([path, { _def }]) => ({
  path,
  type: _def.type,
  /** What a session or a token needs. */
  permission: _def.meta.permission.replace('+lease', '') as Scope | 'any' | 'session' | 'lease' | 'none',
  isLeases: /\blease$/.test(_def.meta.permission),
  hasInput: _def.inputs.length > 0,
}))

/**
 * Calls one procedure as the HTTP server does, with credentials in headers, and returns its answer; for a
 * stream, its first event, if it has one.
 */
export async function callProcedure(
  services: Services,
  { path, input, headers = {} }: Call,
): Promise<Answer> {
  const type = procedures.find(procedure => procedure.path === path)?.type ?? 'query'
  const ctx = contextFactory(services)({ headers })
  try {
    const data = await callTRPCProcedure({
      router: appRouter,
      path,
      getRawInput: async () => input,
      ctx,
      type,
      signal: undefined,
      batchIndex: 0,
    })
    const answer = type === 'subscription' ? await firstEvent(data as AsyncIterable<unknown>) : data
    return { status: 200, body: JSON.stringify(superjson.serialize(answer)) }
  } catch (cause) {
    return describeError(appRouter, { error: getTRPCErrorFromUnknown(cause), path, type, ctx })
  }
}

async function firstEvent(stream: AsyncIterable<unknown>): Promise<unknown> {
  const events = stream[Symbol.asyncIterator]()
  try {
    // What there is was read when the caller was let in, and is given in a microtask.
    const first = await Promise.race([events.next(), nextTurn()])
    return first ? first.value : undefined
  } finally {
    await events.return?.()
  }
}

/** The error's code and reason: `FORBIDDEN missing_scope`; `OK` for an answer. */
export function outcomeOf({ status, body }: Answer): string {
  if (status === 200) return 'OK'
  const { code, reason } = JSON.parse(body).error.json.data
  return reason === undefined ? code : `${code} ${reason}`
}

/**
 * Replaces every id in `input` that is one of `ids` by another stable id: the same call for rows that do not
 * exist.
 */
export function withMissingIds(input: unknown, ids: readonly string[]): unknown {
  let text = JSON.stringify(input)
  if (text === undefined) return input
  for (const id of ids) {
    const digits = hash('sha256', id, 'hex')
    const missing = `${digits.slice(0, 8)}-${digits.slice(8, 12)}-7${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`
    text = text.replaceAll(id, missing)
  }
  return JSON.parse(text)
}
