import type { IncomingMessage } from 'node:http'
import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import { isObject } from '@trpc/server/unstable-core-do-not-import'
import { isJson } from '../body.ts'
import { TRPC_PREFIX } from './plain-request.ts'

/** A request for a subscription that returns a LiveStream. */
export interface LiveRequest {
  readonly path: string
  readonly procedure: AnyTRPCProcedure
  readonly input: string | null
  readonly lastEventId: string | null
}

const PATH = /^[\w.]+$/

/**
 * Reads the request's first line and headers. Null for whatever is not plain beyond doubt (batches, connection parameters,
 * other content types, other subscriptions): tRPC's own adapter answers those.
 */
export function readLiveRequest(router: AnyTRPCRouter, req: IncomingMessage): LiveRequest | null {
  const { method, headers, url = '' } = req
  if (method !== 'GET' || headers['trpc-accept'] !== undefined || headers.accept?.includes('jsonl'))
    return null
  if (headers['content-type'] !== undefined && !isJson(headers['content-type'])) return null
  const question = url.indexOf('?')
  const path = url.slice(TRPC_PREFIX.length, question === -1 ? undefined : question)
  const procedure: AnyTRPCProcedure | undefined = PATH.test(path) ? router._def.procedures[path] : undefined
  if (procedure?._def.type !== 'subscription' || !isLive(procedure) || url.includes('#')) return null
  const query = new URLSearchParams(question === -1 ? '' : url.slice(question))
  if (query.has('batch') || query.has('connectionParams')) return null
  const header = headers['last-event-id']
  return {
    path,
    procedure,
    input: query.get('input'),
    lastEventId:
      (Array.isArray(header) ? header.join(', ') : header) ??
      query.get('lastEventId') ??
      query.get('Last-Event-Id'),
  }
}

function isLive(procedure: AnyTRPCProcedure): boolean {
  const { meta } = procedure._def
  return isObject(meta) && meta.isLive === true
}
