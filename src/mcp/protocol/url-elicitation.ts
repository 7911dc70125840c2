/**
 * A page that the user has to visit before a call can succeed. A client that opens links is asked
 * to open it (MCP: URL mode elicitation); for others the failure itself names the page.
 */

import { type InputRequired, isInputRequired } from '../definitions/client-input.ts'
import type { ToolResult } from '../run-tool.ts'

type PageToOpen = { url: string; message: string }

/**
 * Replaces a failure that a page would fix, for a client that opens links.
 *
 * @param ask makes what the client's era sends instead, or throws it.
 */
export async function orPageToOpen<R extends ToolResult | InputRequired, T>(
  result: R,
  opensLinks: () => boolean | Promise<boolean>,
  ask: (page: PageToOpen) => T,
): Promise<R | T> {
  const page = isInputRequired(result) ? undefined : pageToOpen(result)
  return page && (await opensLinks()) ? ask(page) : result
}

/** The key of the request on the wire; a repeated call that has it was already asked. */
export const PAGE_REQUEST = 'anthropic_key'

type Failure = { code: string; details?: { url?: unknown } }

function pageToOpen({ structuredContent }: ToolResult): PageToOpen | undefined {
  const error = structuredContent?.error as Failure | undefined
  const url = error?.code === 'api_key_missing' ? error.details?.url : undefined
  if (typeof url !== 'string') return undefined
  return { url, message: 'Enter your Anthropic API key, which your messages are billed to.' }
}
