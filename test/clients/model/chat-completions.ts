/** OpenAI's Chat Completions API, which most others speak, too. */

import { type Dialect, event, type Saying, type Tool, textOf } from './dialect.ts'

const usage = { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 }

const messageOf = ({ text, call }: Saying) => ({
  role: 'assistant',
  content: text ?? null,
  ...(call && {
    tool_calls: [
      {
        index: 0,
        id: `call_${Date.now()}`,
        type: 'function',
        function: { name: call.name, arguments: JSON.stringify(call.args) },
      },
    ],
  }),
})

const frame = (object: string, model: string, choices: object[]) => ({
  id: 'chatcmpl-1',
  object,
  created: Math.floor(Date.now() / 1000),
  model,
  choices: choices.map((choice) => ({ index: 0, ...choice })),
})

const reasonOf = ({ call }: Saying) => (call ? 'tool_calls' : 'stop')

export const chatCompletions: Dialect = {
  read({ tools = [], messages }) {
    const last = messages.at(-1)
    return {
      tools: tools.map((tool: { function: Tool }) => ({ name: tool.function.name })),
      lastText: textOf(last.content),
      toolResult: last.role === 'tool' ? textOf(last.content) : undefined,
    }
  },
  isStreamed: ({ stream }) => stream === true,
  whole(saying, { model }) {
    const choice = { message: messageOf(saying), finish_reason: reasonOf(saying) }
    return { ...frame('chat.completion', model, [choice]), usage }
  },
  stream(saying, { model }) {
    const chunk = (...choices: object[]) => frame('chat.completion.chunk', model, choices)
    return (
      event(chunk({ delta: messageOf(saying), finish_reason: null })) +
      event(chunk({ delta: {}, finish_reason: reasonOf(saying) })) +
      event({ ...chunk(), usage }) +
      'data: [DONE]\n\n'
    )
  },
}
