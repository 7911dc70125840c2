import type { AppError } from '../errors.ts'
import { wholeText } from '../text/whole-text.ts'
import type { ContentBlock } from './content.ts'
import type { MessageAccumulator } from './message-accumulator.ts'
import type { Rate, Usage } from './prices/usage.ts'

export type UsageEstimated =
  | 'stream_cancelled'
  | 'stream_broken'
  | 'stream_timed_out'
  | 'process_died'
  /** The answer is complete, but its token count is not. */
  | 'usage_missing'
  /** The first request was lost after it was sent, and may be billed too. */
  | 'sent_twice'

/** How a call ended: the outcome of every call, failed ones included. */
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
   * Null: nothing is billed (an error status, nothing sent, or refused before any output). Includes
   * upper bounds of what Anthropic has not counted.
   */
  usage: Usage | null
  /** Why the usage includes more than Anthropic counted; null when it does not. */
  usageEstimated: UsageEstimated | null
  /** Surcharges on the price. */
  rate: Rate
  requestId: string | null
  /** The model that answered, else the requested one. */
  model: string
  /** For `failed` and `cancelled`. */
  error: AppError | null
  /** What the client changed in the request; the warnings of building it are not repeated. */
  warnings: string[]
  /** From the call to its end, retries and back-off included. */
  upstreamMs: number
}

type Ending = {
  error: AppError | null
  warnings: string[]
  startedAt: number
}

/** Sums up a reply that has ended. */
export function toOutcome(reply: MessageAccumulator, { error, warnings, startedAt }: Ending) {
  const status = statusOf(reply, error)
  const isFree = status === 'refused' && !reply.hasOutput
  const usageEstimated = estimateReason(reply, isFree, error)
  return {
    status,
    content: reply.content.blocks.filter((block) => block !== undefined).map(withWholeText),
    text: wholeText(reply.content.text),
    stopReason: reply.stopReason,
    stopSequence: reply.stopSequence,
    refusalCategory: reply.refusalCategory,
    usage: isFree ? reply.lostUsage : reply.usage(),
    usageEstimated,
    rate: reply.rate,
    requestId: reply.requestId,
    model: reply.model,
    error,
    warnings: [...warnings, ...usageWarnings(usageEstimated)],
    upstreamMs: performance.now() - startedAt,
  } satisfies ClaudeOutcome
}

/** Leaves thinking unchanged: its signature covers every character. */
const withWholeText = (block: ContentBlock): ContentBlock =>
  block.text === undefined ? block : { ...block, text: wholeText(block.text) }

function statusOf(reply: MessageAccumulator, error: AppError | null): ClaudeOutcome['status'] {
  if (error !== null) return error.code === 'cancelled' ? 'cancelled' : 'failed'
  return reply.stopReason === 'refusal' ? 'refused' : 'complete'
}

function estimateReason(reply: MessageAccumulator, isFree: boolean, error: AppError | null) {
  const wasLost = reply.lostUsage !== null
  if (!wasLost && (isFree || !reply.isUsageEstimated)) return null
  if (error?.code === 'cancelled') return 'stream_cancelled'
  if (error?.code === 'upstream_timeout') return 'stream_timed_out'
  if (error !== null) return 'stream_broken'
  return wasLost ? 'sent_twice' : 'usage_missing'
}

/** Only for answers that are delivered: for failed ones an estimated usage is expected. */
function usageWarnings(reason: UsageEstimated | null): string[] {
  if (reason === 'sent_twice') {
    return [
      'The connection broke after the request was sent, and it was sent again. Anthropic may bill both: usage and cost are of both, at most.',
    ]
  }
  if (reason === 'usage_missing') {
    return ['Anthropic did not say all of what this answer used: usage and cost are at most so.']
  }
  return []
}
