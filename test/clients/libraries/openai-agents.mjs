import { auth } from '@modelcontextprotocol/client'
import { MCPServerStreamableHttp } from '@openai/agents'

export async function open(url, authProvider) {
  const server = new MCPServerStreamableHttp({ name: 'gateway', url, authProvider })
  await server.connect()
  const tools = await server.listTools()
  return {
    tools: tools.length,
    call: async (name, args) =>
      (await server.callTool(name, args)).map(({ text }) => text).join(''),
  }
}

export const finish = (url, provider, { searchParams }) =>
  auth(provider, {
    serverUrl: url,
    authorizationCode: searchParams.get('code'),
    iss: searchParams.get('iss'),
  })
