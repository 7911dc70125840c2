/** What the gateway offers over MCP, in terms that both eras' SDKs take as they are. */

import { AppError, toAppError, toErrorBody } from '../errors.ts'
import { VERSION } from '../version.ts'
import { catalogue } from './catalogue.ts'
import { resources } from './resources/index.ts'
import type { Asker, ToolRunner } from './run-tool.ts'

export const SERVER_INFO = {
  name: 'claude-api-gateway',
  title: 'Claude API Gateway',
  version: VERSION,
}

export const INSTRUCTIONS = [
  'A gateway to Claude that keeps conversations.',
  'New users call register_user once, then authenticate_user for an access token, and pass it to the other tools as access_token unless the client sends it as a bearer token.',
  'send_message answers with a conversation_id: pass it again to continue.',
  'Errors say in error.retryable and error.retry_after_seconds whether to try again.',
].join(' ')

/** Between two comment lines of a silent stream, so that no proxy takes it for dead. */
export const KEEP_ALIVE_MS = 15_000

export const CAPABILITIES = { tools: {}, resources: {} }

export const TOOL_LIST = { tools: [...catalogue.values()].map((entry) => entry.listed) }

export const RESOURCE_LIST = {
  resources: resources.map(({ uri, name, title, description }) => ({
    uri,
    name,
    title,
    description,
    mimeType: 'application/json',
  })),
}

const findResource = (uri: string) => resources.find((resource) => resource.uri === uri)

/** A JSON-RPC error's parts: the SDKs have a class of their own for it. */
export type ProtocolFailure = { code: number; message: string; data?: unknown }

/** Application errors outside the reserved range (JSON-RPC 2.0 section 5.1). */
const GATEWAY_ERROR = -32000

/** @returns the resource's JSON, or why it cannot be read. */
export async function readResource(
  { services, log }: ToolRunner,
  uri: string,
  { caller, refusal }: Asker,
): Promise<{ text: string } | { failure: ProtocolFailure } | undefined> {
  const resource = findResource(uri)
  if (!resource) return undefined
  try {
    if (refusal) throw refusal
    if (!caller) throw new AppError('unauthenticated', 'This resource needs an access token.')
    return { text: JSON.stringify(await resource.read({ caller, services })) }
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === 'internal') log.error({ err: error, uri }, 'resource failed')
    const { error: data } = toErrorBody(error)
    return { failure: { code: GATEWAY_ERROR, message: error.message, data } }
  }
}
