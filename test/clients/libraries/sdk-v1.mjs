import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const newTransport = (url, authProvider) =>
  new StreamableHTTPClientTransport(new URL(url), { authProvider })

export async function open(url, provider) {
  const client = new Client({ name: 'program', version: '1.0.0' })
  await client.connect(newTransport(url, provider))
  const { tools } = await client.listTools()
  return {
    tools: tools.length,
    call: async (name, args) =>
      (await client.callTool({ name, arguments: args })).content.map(({ text }) => text).join(''),
  }
}

export const finish = (url, provider, { searchParams }) =>
  newTransport(url, provider).finishAuth(searchParams.get('code'))
