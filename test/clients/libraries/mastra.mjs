import { MCPClient, MCPOAuthClientProvider } from '@mastra/mcp'

/** Its registration, its open client and its flow, which waits for the browser by itself. */
let mcp
let flow

export async function open(url, { clientMetadata, redirectUrl, redirectToAuthorization }) {
  if (mcp) return opened()
  const authProvider = new MCPOAuthClientProvider({
    redirectUrl,
    clientMetadata,
    clientInformation: await register(url, clientMetadata),
    onRedirectToAuthorization: redirectToAuthorization,
  })
  mcp = new MCPClient({ servers: { gateway: { url: new URL(url), authProvider } } })
  flow = mcp.authenticate('gateway')
  throw new Error('needs-auth')
}

/** It has no dynamic registration: a program on it brings the id of its client. */
async function register(url, clientMetadata) {
  const answer = await fetch(new URL('/oauth/register', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(clientMetadata),
  })
  return answer.json()
}

async function opened() {
  const tools = await mcp.listTools()
  return {
    tools: Object.keys(tools).length,
    call: async (name, args) => JSON.stringify(await tools[`gateway_${name}`].execute(args, {})),
  }
}

export async function finish(_url, _provider, callback) {
  await fetch(callback)
  await flow
}
