/** The answer that the bench's stand-in for Claude gives, whole and as a stream of events. */

export const MODEL = 'claude-sonnet-5-5'
export const INPUT_TOKENS = 412
export const OUTPUT_TOKENS = 64
/** In every answer, whatever its length. */
export const PHRASE = 'the quick brown fox'

/** A delta as Claude sends them: a few words. */
const DELTA_TEXT = `${PHRASE} jumps `

const INPUT_USAGE = {
  input_tokens: INPUT_TOKENS,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  server_tool_use: null,
  service_tier: 'standard',
  inference_geo: null,
  speed: 'standard',
}

const ENVELOPE = {
  type: 'message',
  role: 'assistant',
  model: MODEL,
  container: null,
  diagnostics: null,
}

/** @returns the body of a response that is not streamed. */
export function messageJson(id: string, deltas: number): string {
  return JSON.stringify({
    id,
    ...ENVELOPE,
    content: [{ type: 'text', text: DELTA_TEXT.repeat(deltas) }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    stop_details: null,
    usage: { ...INPUT_USAGE, output_tokens: OUTPUT_TOKENS, output_tokens_details: null },
  })
}

const event = (type: string, data: object) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`

/** What comes before the first piece of text (Anthropic API docs: Streaming messages). */
export function streamStart(id: string): string {
  const message = {
    id,
    ...ENVELOPE,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    usage: { ...INPUT_USAGE, output_tokens: 1, output_tokens_details: null },
  }
  return event('message_start', { message }) + BLOCK_START
}

const textDelta = (text: string) =>
  event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })

const BLOCK_START =
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
  event('ping', {})

export const DELTA = textDelta(DELTA_TEXT)

/** A delta that says when it was sent, in microseconds of the clock all processes share. */
export const stampedDelta = () => textDelta(`@${microsNow()}@ ${DELTA_TEXT}`)

export const STREAM_END =
  event('content_block_stop', { index: 0 }) +
  event('message_delta', {
    delta: { stop_reason: 'end_turn', stop_sequence: null, stop_details: null, container: null },
    usage: {
      input_tokens: INPUT_TOKENS,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: OUTPUT_TOKENS,
      output_tokens_details: null,
      server_tool_use: null,
    },
  }) +
  event('message_stop', {})

/** CLOCK_MONOTONIC: the same in every process of a machine. */
export const microsNow = () => Number(process.hrtime.bigint() / 1000n)
