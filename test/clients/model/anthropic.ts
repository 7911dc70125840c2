/** Anthropic's Messages API. */

import { type Dialect, event, type Saying, type Tool, textOf } from './dialect.ts'

const usage = { input_tokens: 10, output_tokens: 10 }

const messageOf = ({ text, call }: Saying, model: string) => ({
  id: `msg_${Date.now()}`,
  type: 'message',
  role: 'assistant',
  model,
  content: [
    call
      ? { type: 'tool_use', id: `toolu_${Date.now()}`, name: call.name, input: call.args }
      : { type: 'text', text },
  ],
  stop_reason: call ? 'tool_use' : 'end_turn',
  stop_sequence: null,
  usage,
})

export const anthropic: Dialect = {
  read({ tools = [], messages }) {
    const last = messages.findLast(({ role }: { role: string }) => role === 'user')
    const blocks = Array.isArray(last.content)
      ? last.content
      : [{ type: 'text', text: last.content }]
    const result = blocks.findLast(({ type }: { type: string }) => type === 'tool_result')
    return {
      tools: tools.map(({ name }: Tool) => ({ name })),
      lastText: textOf(blocks),
      toolResult: result && textOf(result.content),
    }
  },
  isStreamed: ({ stream }) => stream === true,
  whole: (saying, { model }) => messageOf(saying, model),
  stream(saying, { model }) {
    const message = messageOf(saying, model)
    const { text = '', call } = saying
    const [block] = message.content
    const empty = call ? { ...block, input: {} } : { type: 'text', text: '' }
    const delta = call
      ? { type: 'input_json_delta', partial_json: JSON.stringify(call.args) }
      : { type: 'text_delta', text }
    const events = [
      { type: 'message_start', message: { ...message, content: [], stop_reason: null } },
      { type: 'content_block_start', index: 0, content_block: empty },
      { type: 'content_block_delta', index: 0, delta },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: message.stop_reason }, usage },
      { type: 'message_stop' },
    ]
    return events.map((one) => event(one, one.type)).join('')
  },
}
