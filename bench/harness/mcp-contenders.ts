/** MCP servers that echo, as their own clients would call them. */

import { askTool } from '../load/ask.ts'
import { type Call, type Era, toolCall } from '../load/calls.ts'
import type { Item } from '../load/job.ts'
import { ensure } from './case.ts'
import type { Contender } from './rounds.ts'
import type { ServerProcess } from './server-process.ts'

type Load = { connections: number; seconds: number }

const echo = (era: Era) => toolCall(era, 'echo', { message: 'hello' }, { expect: 'Echo: hello' })

/** server-everything keeps sessions: every connection is a client with one of its own. */
export async function everythingEchoes(server: ServerProcess, load: Load): Promise<Contender> {
  const items = await Promise.all(
    Array.from({ length: load.connections }, () => openSession(server)),
  )
  return echoes(server, 'server-everything echo', echo('2025-11-25'), load, items)
}

/** A server without sessions. */
export const statelessEchoes = (server: ServerProcess, name: string, era: Era, load: Load) =>
  echoes(server, name, echo(era), load, [{}])

/** Whether a server speaks an era at all. */
export async function speaks({ origin }: ServerProcess, era: Era): Promise<boolean> {
  return askTool(origin, echo(era)).then(
    () => true,
    () => false,
  )
}

async function echoes(
  server: ServerProcess,
  name: string,
  call: Call,
  load: Load,
  items: Item[],
): Promise<Contender> {
  const { content } = await askTool(server.origin, call, items[0])
  ensure(content[0].text === 'Echo: hello', `${name} echoes`)
  return {
    name,
    pids: [server.pid],
    job: { ...load, origins: [server.origin], ...call, items },
  }
}

async function openSession({ origin }: ServerProcess): Promise<Item> {
  const { path, headers } = echo('2025-11-25')
  const post = (message: object, more: Record<string, string> = {}) =>
    fetch(origin + path, {
      method: 'POST',
      headers: { ...headers, ...more },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    })
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1.0.0' },
  }
  const response = await post({ id: 0, method: 'initialize', params })
  await response.text()
  const session = { 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' }
  await (await post({ method: 'notifications/initialized' }, session)).text()
  return { headers: session }
}
