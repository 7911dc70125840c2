import { FactsReader } from './facts-reader.ts'
import { JsonProblem, JsonScanner } from './json-scanner.ts'
import type { RequestFacts } from './request-facts.ts'

export type Endpoint = 'messages' | 'count_tokens'

/** Some milliseconds of work. */
const SLICE_BYTES = 1024 * 1024

/**
 * Reads a body in slices, and lets the event loop run between them.
 *
 * @throws JsonProblem when the body is ambiguous, or a field that policy needs is missing or of
 *   another type: a laxer parser would run it without a hold.
 */
export async function readRequest(body: Buffer, endpoint: Endpoint): Promise<RequestFacts> {
  const reader = new FactsReader(body)
  const scanner = new JsonScanner(body, reader)
  while (!scanner.run(SLICE_BYTES)) await nextRound()
  const facts = reader.facts()
  if (endpoint === 'messages' && facts.maxTokens === null) {
    throw new JsonProblem('lacks max_tokens, a whole number')
  }
  return facts
}

const nextRound = () => new Promise<void>((resolve) => setImmediate(resolve))

/** The same bytes with other digits of `max_tokens`. */
export function withMaxTokens(body: Buffer, { maxTokens }: RequestFacts, tokens: number): Buffer {
  if (maxTokens === null || maxTokens.value === tokens) return body
  const digits = Buffer.from(String(tokens))
  return Buffer.concat([body.subarray(0, maxTokens.start), digits, body.subarray(maxTokens.end)])
}
