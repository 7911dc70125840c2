/** What a call says of itself. All of it is untrusted text: kept as labels, and decides nothing. */

import type { CallLabels } from '../billing/call.ts'

const LABEL = /^[A-Za-z0-9_-]{1,64}$/
const MAX_TAG_CHARS = 64

/**
 * @param rawHeaders names and values in turn.
 * @param endUserId `metadata.user_id`, where clients without the header put their session.
 */
export function labelsOf(rawHeaders: readonly string[], endUserId: string | null): CallLabels {
  const header = (name: string) => headerOf(rawHeaders, name)
  return {
    sessionLabel: label(header('x-claude-code-session-id')) ?? sessionIn(endUserId),
    agentId: label(header('x-claude-code-agent-id')),
    requestClass: label(header('x-claude-code-request-class')),
    // The name of the program, without its version.
    client: label(header('user-agent')?.split(/[/ (]/, 1)[0]),
    tag: tagOf(header('x-gateway-tag')),
  }
}

function headerOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name) return rawHeaders[index + 1]?.trim()
  }
  return undefined
}

const label = (text: string | undefined): string | null =>
  text !== undefined && LABEL.test(text) ? text : null

/** JSON with a `session_id`, or text that ends with `_session_` and the id. */
function sessionIn(endUserId: string | null): string | null {
  if (endUserId === null) return null
  if (!endUserId.startsWith('{')) return label(/_session_([A-Za-z0-9_-]+)$/.exec(endUserId)?.[1])
  try {
    const { session_id: id } = JSON.parse(endUserId) as { session_id?: unknown }
    return typeof id === 'string' ? label(id) : null
  } catch {
    return null
  }
}

/** As a tag of send_message, as far as a header can hold one. */
function tagOf(text: string | undefined): string | null {
  if (text === undefined || text.length > MAX_TAG_CHARS) return null
  return /^[\x20-\x7e]+$/.test(text) ? text : null
}
