/** The MCP Inspector's command line against the gateway, in both protocol eras. */

import type { Tool } from './tool.ts'

export type Call = { what: string; ok: boolean; problem: string }

const eras = ['legacy', 'modern'] as const

/** Lists the tools, calls a public one, and one that needs the token. */
export async function tryInspector(
  inspector: Tool,
  mcpUrl: string,
  accessToken: string,
  folder: string,
): Promise<Call[]> {
  const calls: Call[] = []
  for (const era of eras) {
    const ask = async (what: string, args: string[], isGood: (result: unknown) => boolean) => {
      const common = ['--cli', mcpUrl, '--transport', 'http', '--protocol-era', era]
      const run = await inspector([...common, '--format', 'json', ...args], folder)
      const ok = run.exitCode === 0 && isGood(parsed(run.stdout))
      const problem = ok ? '' : `exit ${run.exitCode}: ${run.stdout}${run.stderr}`
      calls.push({ what: `inspector, ${era} era: ${what}`, ok, problem })
    }
    await ask('tools/list', ['--method', 'tools/list'], hasTools)
    await ask('health_check', toolCall('health_check'), (result) =>
      contains(result, { success: true, data: { status: 'healthy' } }),
    )
    const message = ['--tool-arg', 'message=Hello from the Inspector']
    const bearer = ['--header', `Authorization: Bearer ${accessToken}`]
    await ask('send_message', [...bearer, ...toolCall('send_message'), ...message], (result) =>
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
