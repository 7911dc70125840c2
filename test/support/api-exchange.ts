/** A request of the Messages API and the events of its answer, as bytes. */

export const MODEL = 'claude-opus-5-5'

export const messagesBody = (fields: object = {}): string =>
  JSON.stringify({
    model: MODEL,
    max_tokens: 1000,
    messages: [{ role: 'user', content: 'hi' }],
    ...fields,
  })

export const event = (type: string, fields: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

export const START = event('message_start', {
  message: {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    content: [],
    stop_reason: null,
    model: MODEL,
    usage: { input_tokens: 10, output_tokens: 1, inference_geo: 'global' },
  },
})
export const TEXT =
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
  event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'x'.repeat(300) } })
export const BLOCK_END = event('content_block_stop', { index: 0 })

/** The last count, after which nothing is estimated. */
export const delta = (outputTokens: number): string =>
  event('message_delta', {
    delta: { stop_reason: 'end_turn' },
    usage: { output_tokens: outputTokens },
  })
export const STOP = event('message_stop')
export const END = BLOCK_END + delta(90) + STOP

export const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'request-id': 'req_011',
}
