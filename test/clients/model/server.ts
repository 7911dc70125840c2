/**
 * A model for the agents: it calls the tool that its user names, and then says what it was told.
 * It speaks as much of the APIs of Anthropic, OpenAI and Google as they need for that.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { anthropic } from './anthropic.ts'
import { chatCompletions } from './chat-completions.ts'
import type { Dialect, Saying } from './dialect.ts'
import { gemini } from './gemini.ts'
import { responses } from './responses.ts'
import { NO_SUCH_TOOL, wishIn } from './wish.ts'

const dialects: readonly [RegExp, Dialect][] = [
  [/\/messages$/, anthropic],
  [/\/chat\/completions$/, chatCompletions],
  [/\/responses$/, responses],
  [/:(streamG|g)enerateContent$/, gemini],
]

/** Agents count on it: some go on connecting meanwhile. */
const THINKING_MS = 1000

export type ModelStandIn = { url: string; close(): Promise<void> }

export async function startModel(): Promise<ModelStandIn> {
  const server = createServer((req, res) => void answer(req, res))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let text = ''
  for await (const chunk of req) text += chunk
  const { pathname } = new URL(req.url ?? '', 'http://model')
  const dialect = dialects.find(([path]) => path.test(pathname))?.[1]
  const isAsked = dialect !== undefined && req.method === 'POST'
  if (!isAsked) {
    res.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"none"}}')
    return
  }
  const body = JSON.parse(text)
  const saying = whatToSay(dialect, body)
  await pause(THINKING_MS)
  if (dialect.isStreamed(body, pathname)) {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).end(dialect.stream(saying, body))
  } else {
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify(dialect.whole(saying, body)))
  }
}

function whatToSay(dialect: Dialect, body: unknown): Saying {
  const { tools, lastText, toolResult } = dialect.read(body)
  if (toolResult !== undefined) return { text: toolResult }
  const wish = wishIn(lastText)
  const tool = wish && tools.find(({ name }) => isCalled(name, wish.tool))
  if (wish === undefined || tool === undefined) return { text: NO_SUCH_TOOL }
  return { call: { ...tool, args: wish.args } }
}

/** Agents put the name of the server in front, and some write all hyphens as underscores. */
const isCalled = (name: string, tool: string) =>
  name.replaceAll('-', '_').endsWith(`claude_api_gateway_${tool}`)
