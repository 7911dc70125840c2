import { createAnthropic } from '@ai-sdk/anthropic'
import { generateText, jsonSchema, streamText, tool as toolOf } from 'ai'

/** The base URL has to end with /v1. */
export function open({ url, token }) {
  const model = createAnthropic({ baseURL: `${url}/v1`, apiKey: token })('claude-haiku-5-5')
  return {
    whole: async (prompt) => (await generateText({ model, prompt })).text,
    async streamed(prompt) {
      let text = ''
      let failure
      const onError = ({ error }) => {
        failure = error
      }
      for await (const piece of streamText({ model, prompt, onError }).textStream) text += piece
      if (failure) throw failure
      return text
    },
    async tool(prompt, { name, description, schema }) {
      const tools = { [name]: toolOf({ description, inputSchema: jsonSchema(schema) }) }
      const { toolCalls } = await generateText({ model, prompt, tools })
      return toolCalls[0]?.input
    },
  }
}
