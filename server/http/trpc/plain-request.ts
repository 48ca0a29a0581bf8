import type { IncomingMessage } from 'node:http'
import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import { isJson } from '../body.ts'

/** Where the procedures are mounted. */
export const TRPC_PREFIX = '/trpc/'

/** Calls in one batch. */
export const MAX_BATCH_SIZE = 20

/** A request that the small handler can answer: JSON in, JSON out, queries and mutations only. */
export interface PlainRequest {
  method: 'GET' | 'POST'
  isBatch: boolean
  paths: readonly string[]
  /** In the order of `paths`; null where there is no such procedure. */
  procedures: readonly (AnyTRPCProcedure | null)[]
  type: 'query' | 'mutation' | 'unknown'
  /** The decoded `input` of a GET; a POST's is its body. */
  queryInput: string | null
}

// Letters, digits, `_`, `-`, `.` and the batch's comma: what the URL parser and percent-decoding leave as it is.
// A leading dot could be a dot segment.
const PLAIN_PATH = /^\w[\w.,-]*$/

/**
 * Reads the request's first line and headers. Returns null for whatever is not plain beyond doubt (streams, forms,
 * odd encodings, mixed or oversized batches, routers not loaded yet): tRPC's own adapter answers those.
 */
export function readPlainRequest(router: AnyTRPCRouter, req: IncomingMessage): PlainRequest | null {
  const { headers, method, url = '' } = req
  if (method !== 'GET' && method !== 'POST') return null
  if (headers['trpc-accept'] !== undefined || !isPlainHost(headers.host)) return null
  if (headers.accept?.includes('jsonl')) return null
  const contentType = headers['content-type']
  if (contentType === undefined ? method === 'POST' : !isJson(contentType)) return null

  const question = url.indexOf('?')
  const path = url.slice(TRPC_PREFIX.length, question === -1 ? undefined : question)
  if (!PLAIN_PATH.test(path)) return null
  const query = readQuery(url, question)
  if (query === null) return null

  const paths = query.isBatch ? path.split(',') : [path]
  if (paths.length > MAX_BATCH_SIZE) return null
  const { procedures: known, lazy } = router._def
  const procedures: (AnyTRPCProcedure | null)[] = []
  let type: PlainRequest['type'] = 'unknown'
  for (const name of paths) {
    const procedure: AnyTRPCProcedure | undefined = known[name]
    if (procedure === undefined) {
      for (const _ in lazy) return null
      procedures.push(null)
      continue
    }
    const own = procedure._def.type
    if (own === 'subscription' || (type !== 'unknown' && type !== own)) return null
    type = own
    procedures.push(procedure)
  }
  return { method, isBatch: query.isBatch, paths, procedures, type, queryInput: query.input }
}

interface Query {
  isBatch: boolean
  input: string | null
}

const NO_QUERY: Query = { isBatch: false, input: null }

/** Reads `batch` and `input` as URLSearchParams would, the first of each; null where it might read them differently. */
function readQuery(url: string, question: number): Query | null {
  if (question === -1) return url.includes('#') ? null : NO_QUERY
  if (url.includes('#', question)) return null
  let batch: string | null = null
  let input: string | null = null
  let start = question + 1
  while (start < url.length) {
    let end = url.indexOf('&', start)
    if (end === -1) end = url.length
    const equals = url.indexOf('=', start)
    const keyEnd = equals === -1 || equals > end ? end : equals
    const key = url.slice(start, keyEnd)
    if (key === 'connectionParams' || key.includes('%') || key.includes('+')) return null
    if (key === 'batch' && batch === null) {
      batch = decodeValue(url.slice(keyEnd + 1, end))
      if (batch === null) return null
    } else if (key === 'input' && input === null) {
      input = decodeValue(url.slice(keyEnd + 1, end))
      if (input === null) return null
    }
    start = end + 1
  }
  return { isBatch: batch === '1', input }
}

function decodeValue(raw: string): string | null {
  const spaced = raw.includes('+') ? raw.replaceAll('+', ' ') : raw
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return null
  }
}

const KNOWN_HOSTS_LIMIT = 100
const plainHosts = new Set<string | undefined>([undefined])

/** tRPC's adapter refuses a host that makes no URL; the good ones are remembered. */
function isPlainHost(host: string | undefined): boolean {
  if (plainHosts.has(host)) return true
  if (!URL.canParse(`http://${host}`)) return false
  if (plainHosts.size >= KNOWN_HOSTS_LIMIT) plainHosts.clear()
  plainHosts.add(host)
  return true
}
