import { STATUS_CODES } from 'node:http'
import { SseError } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ErrorCode, McpError } from '@modelcontextprotocol/sdk/types.js'
import { OutgoingError } from '#server/outgoing/errors.ts'

/**
 * A test that failed, with a sentence of ours: it contains no header, no variable and no text of the server.
 */
export class McpFailure extends Error {
  override readonly name = 'McpFailure'
}

export const SIGN_IN_ELSEWHERE =
  "the server's sign-in is at another address: the OAuth secret is not sent there"

export function secondsOf(milliseconds: number): string {
  return `${milliseconds / 1_000} s`
}

/** The HTTP status of the server's refusal; null if the error is another one. */
export function httpStatusOf(error: unknown): number | null {
  const isHttp = error instanceof StreamableHTTPError || error instanceof SseError
  return isHttp && error.code !== undefined && error.code >= 100 ? error.code : null
}

/**
 * Explains the error to the connector's owner. Omits the texts of servers and libraries, which may quote
 * requests: a server that repeats its headers must not get them stored or logged.
 */
export function sentenceOf(error: unknown, deadlineMs: number): string {
  if (error instanceof McpFailure || error instanceof OutgoingError) return error.message
  const status = httpStatusOf(error)
  if (status !== null) return httpSentence(status)
  if (error instanceof McpError) return protocolSentence(error.code, deadlineMs)
  const message = error instanceof Error ? error.message : ''
  if (message.startsWith("Server's protocol version is not supported"))
    return 'the server speaks a version of MCP that is not supported'
  if (message.startsWith('OAuth client information is bound to')) return SIGN_IN_ELSEWHERE
  if (message.startsWith('Streamable HTTP error: Unexpected content type'))
    return 'the server answered with a content type that is not MCP'
  return 'the server answered with something that is not MCP'
}

function httpSentence(status: number): string {
  if (status >= 300 && status < 400)
    return `the server redirects to another address (HTTP ${status}): redirects are not followed`
  const name = STATUS_CODES[status]
  return `the server answered HTTP ${status}${name ? ` (${name})` : ''}`
}

function protocolSentence(code: number, deadlineMs: number): string {
  if (code === ErrorCode.ConnectionClosed) return 'the server closed the connection before it answered'
  if (code === ErrorCode.RequestTimeout) return `the server did not answer within ${secondsOf(deadlineMs)}`
  return `the server answered with an error (code ${code})`
}
