/**
 * A page that the user has to visit before a call can succeed. A client that opens links is asked
 * to open it (MCP: URL mode elicitation); for others the failure itself names the page.
 */

import type { ToolResult } from '../run-tool.ts'

export type PageToOpen = { url: string; message: string }

/** The key of the request on the wire; a repeated call that has it was already asked. */
export const PAGE_REQUEST = 'anthropic_key'

type Failure = { code: string; details?: { url?: unknown } }

export function pageToOpen({ structuredContent }: ToolResult): PageToOpen | undefined {
  const error = structuredContent.error as Failure | undefined
  const url = error?.code === 'api_key_missing' ? error.details?.url : undefined
  if (typeof url !== 'string') return undefined
  return { url, message: 'Enter your Anthropic API key, which your messages are billed to.' }
}
