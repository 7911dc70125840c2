/** How long a prompt with documents is, as Anthropic counts it: its pages are not known here. */

import { countBody } from '../../claude/pass-through/count-body.ts'
import { requestHeaders } from '../../claude/pass-through/headers.ts'
import type { RequestFacts } from '../../claude/pass-through/request-facts.ts'
import type { Upstream, UpstreamAnswer } from '../../claude/pass-through/upstream.ts'
import { AppError } from '../../errors.ts'
import type { IncomingCall } from './client-side.ts'

/** A count that takes longer is done without. */
const MOST_MS = 10_000
const MOST_ANSWER_BYTES = 16 * 1024

/**
 * One free call, with the key that will pay. Never throws.
 *
 * @returns input tokens; undefined when Anthropic does not tell, or not in time.
 */
export function countPrompt(
  upstream: Upstream,
  { path, body, rawHeaders }: IncomingCall,
  facts: RequestFacts,
  apiKey: string,
  left: AbortSignal,
): Promise<number | undefined> {
  if (body === null) return Promise.resolve(undefined)
  const request = {
    method: 'POST' as const,
    path: path.replace(/^[^?]*/, '/v1/messages/count_tokens'),
    body: countBody(body, facts),
    headers: requestHeaders(rawHeaders, apiKey),
    isStream: false,
  }
  return new Promise((resolve) => {
    const answer = new CountAnswer(resolve)
    try {
      const call = upstream.send(request, answer)
      const over = AbortSignal.any([left, AbortSignal.timeout(MOST_MS)])
      if (over.aborted) call.abort(givenUp())
      over.addEventListener('abort', () => call.abort(givenUp()), { once: true })
    } catch {
      resolve(undefined)
    }
  })
}

class CountAnswer implements UpstreamAnswer {
  readonly #resolve: (tokens: number | undefined) => void
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #status = 0

  constructor(resolve: (tokens: number | undefined) => void) {
    this.#resolve = resolve
  }

  onSent(): void {}

  onHead(status: number): void {
    this.#status = status
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length
    if (this.#bytes <= MOST_ANSWER_BYTES) this.#chunks.push(chunk)
    return true
  }

  onEnd(): void {
    const isWhole = this.#status === 200 && this.#bytes <= MOST_ANSWER_BYTES
    this.#resolve(isWhole ? tokensIn(Buffer.concat(this.#chunks)) : undefined)
  }

  onBroken(): void {
    this.#resolve(undefined)
  }
}

function tokensIn(answer: Buffer): number | undefined {
  try {
    const { input_tokens: tokens } = JSON.parse(answer.toString()) as { input_tokens?: unknown }
    return typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 0
      ? tokens
      : undefined
  } catch {
    return undefined
  }
}

const givenUp = () => new AppError('cancelled', 'The count of tokens was not waited for.')
