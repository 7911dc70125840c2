/**
 * Recognises tool calls in the form that nearly every client sends.
 *
 * An SDK server per request costs more than most tools: measured, a call takes 455 us with one, and
 * 136 us without. A call that contains only what is checked here is therefore answered without one,
 * just as the SDKs would (legacy.ts, modern.ts). Anything missing, unusual or invalid is left to the
 * SDKs.
 */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/sdk/types.js'
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  type ClientCapabilities,
  classifyInboundRequest,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server'
import { LRUCache } from 'lru-cache'
import type { CatalogueEntry } from '../catalogue.ts'
import { capabilitiesIn } from '../protocol/modern.ts'
import type { Toolset } from '../toolset.ts'

export const MODERN_PROTOCOL_VERSION = '2026-07-28'

export type PlainCall = {
  era: 'legacy' | 'modern'
  id: string | number
  toolset: Toolset
  entry: CatalogueEntry
  args: Fields | undefined
  progressToken: string | number | undefined
  /** Modern era only, already validated. */
  clientCapabilities: ClientCapabilities | undefined
}

/** The call and whether its answer is an event stream. */
export type FormedCall = PlainCall & { streams: boolean }

type Fields = Record<string, unknown>

const LEGACY_VERSIONS = new Set(SUPPORTED_PROTOCOL_VERSIONS)
const RESERVED = 'io.modelcontextprotocol/'
const ENVELOPE = new Set([
  PROTOCOL_VERSION_META_KEY,
  CLIENT_INFO_META_KEY,
  CLIENT_CAPABILITIES_META_KEY,
])

/** Undefined for a request that only an SDK can answer. */
export function plainCall(
  { headers }: IncomingMessage,
  body: unknown,
  toolset: Toolset,
): PlainCall | undefined {
  if (!isObject(body) || !hasOnly(body, ['jsonrpc', 'id', 'method', 'params'])) return undefined
  const { jsonrpc, id, method, params } = body
  if (jsonrpc !== '2.0' || method !== 'tools/call' || !isId(id) || !isObject(params)) {
    return undefined
  }
  if (!hasOnly(params, ['name', 'arguments', '_meta'])) return undefined
  const { name, arguments: args, _meta: meta = {} } = params
  const entry = typeof name === 'string' ? toolset.find(name) : undefined
  if (
    !entry ||
    entry.tool.isInteractive ||
    !isObject(meta) ||
    !(args === undefined || isArguments(args))
  )
    return undefined
  const { progressToken } = meta
  if (!(progressToken === undefined || isId(progressToken))) return undefined
  const era = eraOf(headers, name as string, meta, body)
  if (era === undefined || headers['content-type'] !== 'application/json') return undefined
  const clientCapabilities = capabilitiesIn(meta)
  return { era, id, toolset, entry, args, progressToken, clientCapabilities }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The SDKs drop a field named `__proto__`, which is no tool's argument. */
const isArguments = (value: unknown): value is Fields =>
  isObject(value) && !Object.hasOwn(value, '__proto__')

const hasOnly = (fields: Fields, names: readonly string[]) =>
  Object.keys(fields).every((name) => names.includes(name))

/** A request id or a progress token. */
const isId = (value: unknown): value is string | number =>
  typeof value === 'string' || Number.isSafeInteger(value)

function eraOf(
  headers: IncomingHttpHeaders,
  name: string,
  meta: Fields,
  body: Fields,
): PlainCall['era'] | undefined {
  const version = headers['mcp-protocol-version']
  const reserved = Object.keys(meta).filter((key) => key.startsWith(RESERVED))
  if (version === undefined || LEGACY_VERSIONS.has(String(version))) {
    const { accept = '' } = headers
    const takesBoth = accept.includes('application/json') && accept.includes('text/event-stream')
    return reserved.length === 0 && takesBoth ? 'legacy' : undefined
  }
  const isMirrored = headers['mcp-method'] === 'tools/call' && headers['mcp-name'] === name
  const isThis =
    version === MODERN_PROTOCOL_VERSION && meta[PROTOCOL_VERSION_META_KEY] === version && isMirrored
  return isThis && reserved.every((key) => ENVELOPE.has(key)) && isKnownClient(meta, body)
    ? 'modern'
    : undefined
}

/** Client info and capabilities that the SDK has validated. Each request repeats them. */
const knownClients = new LRUCache<string, true>({ max: 1000 })
const MAX_CLIENT_LENGTH = 4096

function isKnownClient(meta: Fields, body: Fields): boolean {
  const client = JSON.stringify([meta[CLIENT_INFO_META_KEY], meta[CLIENT_CAPABILITIES_META_KEY]])
  if (knownClients.get(client)) return true
  if (classifyInboundRequest({ httpMethod: 'POST', body }).kind !== 'modern') return false
  if (client.length <= MAX_CLIENT_LENGTH) knownClients.set(client, true)
  return true
}
