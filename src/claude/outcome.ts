import type { AppError } from '../errors.ts'
import { wholeText } from '../whole-text.ts'
import type { ContentBlock } from './content.ts'
import type { Reply } from './stream.ts'
import type { Usage } from './usage.ts'

/** How a call ended, whatever happened. */
export interface ClaudeOutcome {
  status: 'complete' | 'refused' | 'cancelled' | 'failed'
  /** Blocks as streamed, thinking and signatures included; partial unless `complete`. */
  content: ContentBlock[]
  /** All text blocks, joined. */
  text: string
  /** As Anthropic names it; unknown values are passed on. */
  stopReason: string | null
  stopSequence: string | null
  refusalCategory: string | null
  /**
   * Null: nothing is billed (an error status, nothing begun, or refused before any output); with
   * `usageEstimated`, it may be, but the call ended before the count of its input came.
   */
  usage: Usage | null
  /** Why the usage is an estimate, when it is one. */
  usageEstimated: 'stream_cancelled' | 'stream_broken' | 'stream_timed_out' | 'process_died' | null
  requestId: string | null
  /** The model that answered, else the one that was asked. */
  model: string
  /** For `failed` and `cancelled`. */
  error: AppError | null
  /** What the client changed about the request; the warnings of building it are not repeated. */
  warnings: string[]
  /** From the call to its end, retries and back-off included. */
  upstreamMs: number
  /** From the call to the first visible text. */
  firstTokenMs: number | null
}

type Ending = {
  error: AppError | null
  warnings: string[]
  startedAt: number
}

/** Sums up a reply that will not grow any more. */
export function toOutcome(reply: Reply, { error, warnings, startedAt }: Ending) {
  const status = statusOf(reply, error)
  const isFree = status === 'refused' && !reply.hasOutput
  return {
    status,
    content: reply.content.filter((block) => block !== undefined).map(withWholeText),
    text: wholeText(reply.text),
    stopReason: reply.stopReason,
    stopSequence: reply.stopSequence,
    refusalCategory: reply.refusalCategory,
    usage: isFree ? null : reply.usage(),
    usageEstimated: reply.isUsageEstimated && !isFree ? estimateReason(error) : null,
    requestId: reply.requestId,
    model: reply.model,
    error,
    warnings,
    upstreamMs: performance.now() - startedAt,
    firstTokenMs: reply.firstTextAt === null ? null : reply.firstTextAt - startedAt,
  } satisfies ClaudeOutcome
}

/** Thinking stays as it is: a signature is for its every character. */
const withWholeText = (block: ContentBlock): ContentBlock =>
  block.text === undefined ? block : { ...block, text: wholeText(block.text) }

function statusOf(reply: Reply, error: AppError | null): ClaudeOutcome['status'] {
  if (error !== null) return error.code === 'cancelled' ? 'cancelled' : 'failed'
  return reply.stopReason === 'refusal' ? 'refused' : 'complete'
}

function estimateReason(error: AppError | null) {
  if (error?.code === 'cancelled') return 'stream_cancelled'
  return error?.code === 'upstream_timeout' ? 'stream_timed_out' : 'stream_broken'
}
