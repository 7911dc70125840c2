/** It stands between a client that only speaks stdio and the gateway: this driver is that client. */

import type { Driver } from '../driver.ts'
import type { Program } from '../program.ts'
import { answerPage } from './answer-page.ts'

const HELLO = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'a client over stdio', version: '1.0.0' },
}

export const mcpRemote: Driver = ({ site, start }) => {
  let program: Program
  let requests = 0
  const notify = (method: string) => program.send(JSON.stringify({ jsonrpc: '2.0', method }))
  async function request(method: string, params: object): Promise<string> {
    requests += 1
    const id = requests
    program.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
    const [line] = await program.until(new RegExp(`^\\{.*"id":${id}[,}].*(?=\n)`, 'm'))
    return line
  }
  return {
    async connect() {
      program = start('mcp-remote', [site.mcpUrl])
      await program.until(/Please authorize this client/)
    },
    async signIn() {
      await answerPage(program, site)
      await request('initialize', HELLO)
      notify('notifications/initialized')
      const tools = await request('tools/list', {})
      if (!tools.includes('claude-api-gateway_send_message')) throw new Error(tools)
    },
    call: (tool, args) =>
      request('tools/call', { name: `claude-api-gateway_${tool}`, arguments: args }),
  }
}
