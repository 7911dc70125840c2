/**
 * A page that has to be visited before a call can succeed. A client that opens links for its user
 * is asked to (MCP: URL mode elicitation); to any other the failure itself says where to go.
 */

import type { ToolResult } from '../run-tool.ts'

export type PageToOpen = { url: string; message: string }

/** Named on the wire, so that a client's answer can be told from none. */
export const PAGE_REQUEST = 'anthropic_key'

type Failure = { code: string; details?: { url?: unknown } }

export function pageToOpen({ structuredContent }: ToolResult): PageToOpen | undefined {
  const error = structuredContent.error as Failure | undefined
  const url = error?.code === 'api_key_missing' ? error.details?.url : undefined
  if (typeof url !== 'string') return undefined
  return { url, message: 'Enter your Anthropic API key, which your messages are billed to.' }
}
