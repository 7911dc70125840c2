/** OpenAI's Responses API. */

import { type Dialect, event, type Saying, type Tool, textOf } from './dialect.ts'

const usage = {
  input_tokens: 10,
  output_tokens: 10,
  total_tokens: 20,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens_details: { reasoning_tokens: 0 },
}

function itemOf({ text, call }: Saying) {
  const id = `item_${Date.now()}`
  if (call) {
    const { args, ...tool } = call
    const call_id = `call_${Date.now()}`
    return { type: 'function_call', id, call_id, ...tool, arguments: JSON.stringify(args) }
  }
  const content = [{ type: 'output_text', text, annotations: [] }]
  return { type: 'message', id, role: 'assistant', status: 'completed', content }
}

const responseOf = (saying: Saying, model: string) => ({
  id: `resp_${Date.now()}`,
  object: 'response',
  created_at: Math.floor(Date.now() / 1000),
  status: 'completed',
  model,
  output: [itemOf(saying)],
  usage,
})

/** A tool, or a namespace of them; built-in tools have no name. */
const flat = ({ name, type, tools = [] }: Tool & { type: string; tools?: Tool[] }): Tool[] =>
  type === 'namespace'
    ? tools.map((tool) => ({ name: tool.name, namespace: name }))
    : [{ name: name ?? '' }]

export const responses: Dialect = {
  read({ tools = [], input }) {
    const last = Array.isArray(input) ? input.at(-1) : { content: input }
    return {
      tools: tools.flatMap(flat),
      lastText: textOf(last.content ?? ''),
      toolResult: last.type === 'function_call_output' ? textOf(last.output) : undefined,
    }
  },
  isStreamed: ({ stream }) => stream === true,
  whole: (saying, { model }) => responseOf(saying, model),
  stream(saying, { model }) {
    const response = responseOf(saying, model)
    const [item] = response.output
    const begun = { ...response, status: 'in_progress', output: [] }
    const events = [
      { type: 'response.created', response: begun },
      { type: 'response.output_item.added', output_index: 0, item },
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response },
    ]
    return events.map((one) => event(one, one.type)).join('')
  },
}
