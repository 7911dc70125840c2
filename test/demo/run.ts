/**
 * `npm run demo`: the gateway and a stand-in for Claude on this machine, and one user of them, from
 * registration to metrics, through the official MCP client. Leaves nothing behind.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPEN_MCP_PATH } from '../../src/network/mcp-addresses.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { type Answer, connectClient } from '../support/clients.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { answerTo } from './answers.ts'
import { field, heading, shortened } from './print.ts'

const folder = await mkdtemp(join(tmpdir(), 'gateway-demo-'))
const claude = await startClaudeStandIn({ latencyMs: 300, chunkDelayMs: 20 })
claude.setReply(({ messages }) => answerTo(messages.filter(({ role }) => role === 'user').length))
const gateway = await startGatewayProcess({ DATA_DIR: folder, ANTHROPIC_BASE_URL: claude.url })
try {
  console.log(gateway.greeting.trimEnd())
  heading('  In this demo Claude is a stand-in on this machine. Nothing leaves it.')
  await demonstrate(`${gateway.url}${OPEN_MCP_PATH}`)
  heading('Done. The gateway is stopped and its data removed.')
} finally {
  await gateway.stop()
  await claude.close()
  await rm(folder, { recursive: true, force: true })
}

type Call = (tool: string, args: Record<string, unknown>) => Promise<Answer['structured']>

async function demonstrate(mcpUrl: string): Promise<void> {
  const client = await connectClient('modern', mcpUrl)
  const call: Call = async (tool, args) => {
    const { isError, text, structured } = await client.call(tool, args)
    if (isError) throw new Error(`${tool}: ${text}`)
    return structured
  }
  const access_token = await signUp(call)
  const conversation_id = await converse(call, access_token)
  await lookBack(call, access_token, conversation_id)
  await client.close()
  await readMetrics(mcpUrl, access_token)
}

async function signUp(call: Call): Promise<string> {
  heading('1. register_user')
  const username = 'ai_researcher'
  const registered = await call('register_user', {
    username,
    email: 'researcher@example.com',
    anthropic_api_key: 'sk-ant-api03-of-the-demo',
  })
  const { user_id, password } = registered.data
  field('user_id', user_id)
  field('password', password)

  heading('2. authenticate_user')
  const { data } = await call('authenticate_user', { username, password })
  field('access_token', shortened(data.access_token, 40))
  field('expires_at', data.expires_at)
  return data.access_token
}

async function converse(call: Call, access_token: string): Promise<string> {
  heading('3. send_message: a new conversation')
  const conversation_id = await say(call, {
    access_token,
    message: 'Explain the double-slit experiment in quantum physics',
    system_prompt: 'You are a physics professor explaining complex concepts clearly.',
  })
  heading('4. send_message: the same conversation')
  return say(call, {
    access_token,
    message: 'Can you give me a practical analogy for wave-particle duality?',
    conversation_id,
  })
}

/** @returns the conversation. */
async function say(call: Call, args: Record<string, string>): Promise<string> {
  const { data } = await call('send_message', args)
  field('you', args.message ?? '')
  field('Claude', data.content)
  field('conversation', data.conversation_id)
  field('model', data.model)
  field('tokens', `${data.usage.input_tokens} in, ${data.usage.output_tokens} out`)
  field('cost', `${data.cost_usd} USD`)
  return data.conversation_id
}

async function lookBack(call: Call, access_token: string, conversation_id: string): Promise<void> {
  heading('5. get_conversation_history')
  const history = await call('get_conversation_history', { access_token, conversation_id })
  for (const { role, content } of history.messages) field(role, shortened(content, 55))

  heading('6. get_conversations')
  const { conversations, total } = await call('get_conversations', { access_token })
  for (const { title, message_count } of conversations) {
    field('title', title)
    field('messages', message_count)
  }
  field('total', total)
}

/** A resource takes no arguments: the token goes into the header. */
async function readMetrics(mcpUrl: string, accessToken: string): Promise<void> {
  heading('7. mcp://claude-api-gateway/metrics')
  const client = await connectClient('modern', mcpUrl, accessToken)
  const { contents } = await client.raw.readResource({ uri: 'mcp://claude-api-gateway/metrics' })
  const [block] = contents
  const metrics = JSON.parse(block && 'text' in block ? block.text : '')
  console.log(JSON.stringify(metrics, null, 2).replace(/^/gm, '  '))
  await client.close()
}
