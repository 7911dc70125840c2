/** Google's Gemini API. */

import { type Dialect, event, type Saying, type Tool, textOf } from './dialect.ts'

const answerOf = ({ text, call }: Saying) => ({
  candidates: [
    {
      index: 0,
      content: {
        role: 'model',
        parts: [call ? { functionCall: { name: call.name, args: call.args } } : { text }],
      },
      finishReason: 'STOP',
    },
  ],
  usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 10, totalTokenCount: 20 },
})

export const gemini: Dialect = {
  read({ tools = [], contents }) {
    const { parts } = contents.at(-1)
    const result = parts.find((part: { functionResponse?: object }) => part.functionResponse)
    return {
      tools: tools.flatMap(({ functionDeclarations = [] }) =>
        functionDeclarations.map(({ name }: Tool) => ({ name })),
      ),
      lastText: textOf(parts),
      toolResult: result && JSON.stringify(result.functionResponse.response),
    }
  },
  isStreamed: (_body, path) => path.endsWith(':streamGenerateContent'),
  whole: answerOf,
  stream: (saying) => event(answerOf(saying)),
}
