import { ChatAnthropic } from '@langchain/anthropic'

export function open({ url, token }) {
  const model = new ChatAnthropic({
    model: 'claude-haiku-5-5',
    anthropicApiUrl: url,
    apiKey: token,
    maxTokens: 1000,
  })
  return {
    whole: async (text) => (await model.invoke(text)).text,
    async streamed(text) {
      let all = ''
      for await (const piece of await model.stream(text)) all += piece.text
      return all
    },
    async tool(text, { name, description, schema }) {
      const tools = [{ name, description, input_schema: schema }]
      const { tool_calls: calls } = await model.bindTools(tools).invoke(text)
      return calls[0]?.args
    },
  }
}
