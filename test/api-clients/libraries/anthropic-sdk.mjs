import Anthropic from '@anthropic-ai/sdk'

/** @param credential `apiKey` or `authToken`: the two ways in which people give it one. */
export function open({ url, token, credential = 'apiKey' }) {
  const client = new Anthropic({
    baseURL: url,
    ...(credential === 'apiKey' ? { apiKey: token } : { apiKey: null, authToken: token }),
  })
  const ask = (text, more = {}) => ({
    model: 'claude-haiku-5-5',
    max_tokens: 1000,
    messages: [{ role: 'user', content: text }],
    ...more,
  })
  const textOf = ({ content }) => content.map(({ text = '' }) => text).join('')
  return {
    whole: async (text) => textOf(await client.messages.create(ask(text))),
    async streamed(text) {
      const stream = client.messages.stream(ask(text))
      return textOf(await stream.finalMessage())
    },
    async tool(text, { name, description, schema }) {
      const tools = [{ name, description, input_schema: schema }]
      const { content } = await client.messages.create(ask(text, { tools }))
      return content.find(({ type }) => type === 'tool_use')?.input
    },
  }
}
