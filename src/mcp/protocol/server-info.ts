/** What the gateway offers over MCP, in a form that both eras' SDKs accept. */

import { AppError, toAppError, toErrorBody } from '../../errors.ts'
import type { Caller } from '../../services/access/caller.ts'
import { VERSION } from '../../version.ts'
import { resources } from '../resources/index.ts'
import { type RequestIdentity, refuseMissingScope, type ToolRunner } from '../run-tool.ts'

export const SERVER_NAME = 'claude-api-gateway'

/** At most 100 characters (server card and registry schemas). */
export const DESCRIPTION =
  'A self-hosted gateway to Claude: keeps keys, conversations, usage and cost in one place.'

export type ServerInfo = ReturnType<typeof serverInfo>

/** The server's `Implementation` info in both eras; in 2026-07-28 it is in every answer. */
export function serverInfo(publicUrl: string) {
  return {
    name: SERVER_NAME,
    title: 'Claude API Gateway',
    version: VERSION,
    websiteUrl: `${publicUrl}/`,
    icons: [
      { src: `${publicUrl}/icon.svg`, mimeType: 'image/svg+xml', sizes: ['any'] },
      { src: `${publicUrl}/icon-96.png`, mimeType: 'image/png', sizes: ['96x96'] },
    ],
  }
}

/** Interval of keep-alive comments on a silent stream, so that proxies do not close it. */
export const KEEP_ALIVE_MS = 15_000

export const CAPABILITIES = { tools: {}, resources: {} }

/** The resources that a token may read; without a token, all. */
export const resourceListFor = (caller: Caller | null) => ({
  resources: resources
    .filter(({ scope }) => caller?.scopes.includes(scope) !== false)
    .map(({ uri, name, title, description }) => ({
      uri,
      name,
      title,
      description,
      mimeType: 'application/json',
    })),
})

export const findResource = (uri: string) => resources.find((resource) => resource.uri === uri)

/** The fields of a JSON-RPC error: each SDK has an error class of its own. */
export type ProtocolFailure = { code: number; message: string; data?: unknown }

/** Application errors outside the reserved range (JSON-RPC 2.0 section 5.1). */
const GATEWAY_ERROR = -32000

/** @returns the resource's JSON, or why it cannot be read; undefined for an unknown URI. */
export async function readResource(
  { services, log }: ToolRunner,
  uri: string,
  { caller, refusal }: RequestIdentity,
): Promise<{ text: string } | { failure: ProtocolFailure } | undefined> {
  const resource = findResource(uri)
  if (!resource) return undefined
  try {
    if (refusal) throw refusal
    if (!caller) throw new AppError('unauthenticated', 'This resource needs an access token.')
    refuseMissingScope(caller, resource.scope)
    return { text: JSON.stringify(await resource.read({ caller, services })) }
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'internal') log.error({ err: error, uri }, 'resource failed')
    const { error: data } = toErrorBody(error)
    return { failure: { code: GATEWAY_ERROR, message: error.message, data } }
  }
}
