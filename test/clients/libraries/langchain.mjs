import { MultiServerMCPClient } from '@langchain/mcp-adapters'
import { auth } from '@modelcontextprotocol/sdk/client/auth.js'

export async function open(url, authProvider) {
  const client = new MultiServerMCPClient({
    throwOnLoadError: true,
    mcpServers: { gateway: { transport: 'http', url, authProvider } },
  })
  const tools = await client.getTools()
  return {
    tools: tools.length,
    call: async (name, args) => {
      const answer = await tools.find((tool) => tool.name === name).invoke(args)
      return typeof answer === 'string' ? answer : JSON.stringify(answer)
    },
  }
}

export const finish = (url, provider, { searchParams }) =>
  auth(provider, { serverUrl: url, authorizationCode: searchParams.get('code') })
