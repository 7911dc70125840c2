/** What the clients of the Messages API are tried against: the gateway, and a stand-in for Claude. */

import { join } from 'node:path'
import { createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/config.ts'
import { listen } from '../../src/http/listener/listen.ts'
import { createLogger } from '../../src/log.ts'
import { type ApiUser, apiUser } from '../support/api-user.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import type { MessagesRequest } from '../support/claude-stand-in/wire.ts'
import { connectClient, register } from '../support/clients.ts'

export type Site = Awaited<ReturnType<typeof openSite>>

/** What the model is asked, and does: each word of it stands for a deed. */
export const ASK = {
  tool: 'please use the tool',
  agent: 'please ask a sub-agent',
  subTask: 'please do the sub-task',
} as const

export const SAID_BY_AGENT = 'done by the sub-agent'

/** @param folder for the embedded database. */
export async function openSite(folder: string) {
  const claude = await startClaudeStandIn({ chunkSize: 8, chunkDelayMs: 1 })
  claude.setReply(replyTo)
  const config = loadConfig({
    PORT: '0',
    DATA_DIR: join(folder, 'data'),
    ANTHROPIC_BASE_URL: claude.url,
    VALIDATE_API_KEYS: 'false',
    SHUTDOWN_GRACE_SECONDS: '0',
  })
  const logLines: string[] = []
  const log = createLogger('info', { write: (line) => logLines.push(line) })
  const app = await createApp(config, { log })
  const listening = await listen(app.http, config.http)
  const mcpUrl = `${listening.url}/mcp`
  return {
    claude,
    url: listening.url,
    newUser: () => apiUser({ app, register: () => register(`${mcpUrl}/open`) }),
    /** How often the gateway was asked for a message since a mark, by the status of its answer. */
    asked: (since: number) => askedIn(logLines.slice(since)),
    mark: () => logLines.length,
    ledgerOf: ({ userId }: ApiUser) =>
      app.db.selectFrom('ledger').selectAll().where('userId', '=', userId).orderBy('id').execute(),
    spend: (user: ApiUser) => spend(mcpUrl, user),
    async close(): Promise<void> {
      listening.cut()
      await app.close(0)
      await claude.close()
    },
  }
}

/** From now on nothing fits the user's budget. */
async function spend(mcpUrl: string, { accessToken }: ApiUser): Promise<void> {
  const client = await connectClient('modern', mcpUrl, accessToken)
  const { isError, text } = await client.call('set_budget', { period: 'day', limit_usd: 0.000001 })
  await client.close()
  if (isError) throw new Error(text)
}

function askedIn(logLines: readonly string[]): Record<number, number> {
  const counted: Record<number, number> = {}
  for (const line of logLines) {
    const { route, status } = JSON.parse(line)
    if (route === '/v1/messages') counted[status] = (counted[status] ?? 0) + 1
  }
  return counted
}

const TOOLS_OF_AGENTS = ['Task', 'Agent']

/** The deed that the last message asks for; the result of a tool is repeated; else an echo. */
function replyTo({ messages, tools }: MessagesRequest) {
  const last = JSON.stringify(messages.findLast(({ role }) => role === 'user')?.content ?? '')
  const names = (tools ?? []).map((tool) => String((tool as { name?: unknown }).name))
  if (last.includes('"tool_result"')) return { text: `The tool said: ${last.slice(-400)}` }
  if (last.includes(ASK.subTask)) return { text: SAID_BY_AGENT }
  if (last.includes(ASK.agent)) {
    const name = names.find((one) => TOOLS_OF_AGENTS.includes(one))
    const input = {
      description: 'a sub-task',
      prompt: ASK.subTask,
      subagent_type: 'general-purpose',
    }
    return name === undefined ? {} : call(name, input)
  }
  if (!last.includes(ASK.tool)) return echo(messages)
  if (names.includes('Bash'))
    return call('Bash', { command: 'echo $((6 * 7))', description: 'sum' })
  return names[0] === undefined ? {} : call(names[0], { city: 'Oslo' })
}

const call = (name: string, input: object) => ({
  content: [{ type: 'tool_use' as const, id: `toolu_${Date.now()}`, name, input }],
  stopReason: 'tool_use',
})

/** Without the `citations: null` of the stand-in's own echo, which the AI SDK takes for an error. */
function echo(messages: MessagesRequest['messages']) {
  const content = messages.findLast(({ role }) => role === 'user')?.content ?? ''
  const text = typeof content === 'string' ? content : lastTextIn(content)
  return { content: [{ type: 'text' as const, text }] }
}

const lastTextIn = (blocks: readonly object[]) =>
  String((blocks.findLast((block) => 'text' in block) as { text?: string } | undefined)?.text ?? '')
