import { auth, createMCPClient } from '@ai-sdk/mcp'

export async function open(url, authProvider) {
  const client = await createMCPClient({ transport: { type: 'http', url, authProvider } })
  const tools = await client.tools()
  return {
    tools: Object.keys(tools).length,
    call: async (name, args) => {
      const { content } = await tools[name].execute(args, { toolCallId: 'call', messages: [] })
      return content.map(({ text }) => text).join('')
    },
  }
}

export const finish = (url, provider, { searchParams }) =>
  auth(provider, {
    serverUrl: url,
    authorizationCode: searchParams.get('code'),
    callbackState: searchParams.get('state'),
    callbackIssuer: searchParams.get('iss'),
  })
