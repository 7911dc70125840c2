/** The MCP Inspector's command line against the gateway, in both protocol eras. */

import { openUrlOf } from '../support/clients.ts'
import type { Tool } from './tool.ts'

export type Call = { what: string; ok: boolean; problem: string }

type IsGood = (result: unknown, said: string) => boolean

const eras = ['legacy', 'modern'] as const

/**
 * Where no token is needed it lists the tools and calls a public one; where one is, it wants to sign in
 * without, and calls a tool with it.
 */
export async function tryInspector(
  inspector: Tool,
  mcpUrl: string,
  accessToken: string,
  folder: string,
): Promise<Call[]> {
  const calls: Call[] = []
  for (const era of eras) {
    const ask = async (url: string, what: string, args: string[], isGood: IsGood) => {
      const common = ['--cli', url, '--transport', 'http', '--protocol-era', era]
      const run = await inspector([...common, '--format', 'json', ...args], folder)
      const ok = isGood(
        run.exitCode === 0 ? parsed(run.stdout) : undefined,
        run.stdout + run.stderr,
      )
      const problem = ok ? '' : `exit ${run.exitCode}: ${run.stdout}${run.stderr}`
      calls.push({ what: `inspector, ${era} era: ${what}`, ok, problem })
    }
    const list = ['--method', 'tools/list']
    await ask(openUrlOf(mcpUrl), 'tools/list', list, hasTools)
    await ask(openUrlOf(mcpUrl), 'health_check', toolCall('health_check'), (result) =>
      contains(result, { success: true, data: { status: 'healthy' } }),
    )
    await ask(mcpUrl, 'wants to sign in', list, (_result, said) => said.includes('auth_required'))
    const message = ['--tool-arg', 'message=Hello from the Inspector']
    const bearer = ['--header', `Authorization: Bearer ${accessToken}`]
    await ask(
      mcpUrl,
      'send_message',
      [...bearer, ...toolCall('send_message'), ...message],
      (result) =>
        contains(result, { success: true, data: { content: 'Hello from the Inspector' } }),
    )
  }
  return calls
}

const toolCall = (name: string) => [
  '--method',
  'tools/call',
  '--tool-name',
  `claude-api-gateway_${name}`,
]

function parsed(text: string): unknown {
  try {
    return JSON.parse(text).result
  } catch {
    return undefined
  }
}

function hasTools(result: unknown): boolean {
  const { tools = [] } = (result ?? {}) as { tools?: { name: string }[] }
  return tools.some(({ name }) => name === 'claude-api-gateway_send_message')
}

function contains(result: unknown, expected: { success: boolean; data: Record<string, string> }) {
  const { structuredContent: answer } = (result ?? {}) as {
    structuredContent?: { success?: boolean; data?: Record<string, unknown> }
  }
  return (
    answer?.success === expected.success &&
    Object.entries(expected.data).every(([name, value]) => answer.data?.[name] === value)
  )
}
