/** The clients that `npm run clients` tries, with the versions it installs: the only list of them. */

import type { Driver } from './driver.ts'
import { claudeCode } from './drivers/claude-code.ts'
import { cline } from './drivers/cline.ts'
import { codex } from './drivers/codex.ts'
import { continueCli } from './drivers/continue-cli.ts'
import { copilotCli } from './drivers/copilot-cli.ts'
import { geminiCli } from './drivers/gemini-cli.ts'
import { inspector } from './drivers/inspector.ts'
import { library } from './drivers/library.ts'
import { mcpRemote } from './drivers/mcp-remote.ts'
import { mcporter } from './drivers/mcporter.ts'
import { opencode } from './drivers/opencode.ts'
import { qwenCode } from './drivers/qwen-code.ts'

export type Client = {
  /** For the command line. */
  name: string
  title: string
  /** With exact versions, the client itself first. */
  packages: readonly string[]
  driver: Driver
}

export const clients: readonly Client[] = [
  {
    name: 'claude-code',
    title: 'Claude Code',
    packages: ['@anthropic-ai/claude-code@2.1.332'],
    driver: claudeCode,
  },
  {
    name: 'inspector',
    title: 'MCP Inspector, command line',
    packages: ['@modelcontextprotocol/inspector@2.12.0'],
    driver: inspector,
  },
  { name: 'mcp-remote', title: 'mcp-remote', packages: ['mcp-remote@0.15.1'], driver: mcpRemote },
  { name: 'mcporter', title: 'mcporter', packages: ['mcporter@0.12.3'], driver: mcporter },
  { name: 'opencode', title: 'opencode', packages: ['opencode-ai@1.18.33'], driver: opencode },
  { name: 'codex', title: 'Codex', packages: ['@openai/codex@0.171.0'], driver: codex },
  {
    name: 'gemini-cli',
    title: 'Gemini CLI',
    packages: ['@google/gemini-cli@0.61.0'],
    driver: geminiCli,
  },
  {
    name: 'qwen-code',
    title: 'Qwen Code',
    packages: ['@qwen-code/qwen-code@0.24.4'],
    driver: qwenCode,
  },
  {
    name: 'copilot-cli',
    title: 'Copilot CLI',
    packages: ['@github/copilot@1.0.102'],
    driver: copilotCli,
  },
  { name: 'cline', title: 'Cline', packages: ['cline@3.0.65'], driver: cline },
  {
    name: 'continue-cli',
    title: 'Continue, command line',
    packages: ['@continuedev/cli@1.5.47'],
    driver: continueCli,
  },
  {
    name: 'sdk-v1',
    title: 'MCP TypeScript SDK, version 1',
    packages: ['@modelcontextprotocol/sdk@1.32.2'],
    driver: library('sdk-v1'),
  },
  {
    name: 'sdk-v2',
    title: 'MCP TypeScript SDK, version 2',
    packages: ['@modelcontextprotocol/client@2.4.0'],
    driver: library('sdk-v2'),
  },
  {
    name: 'ai-sdk',
    title: 'AI SDK',
    packages: ['@ai-sdk/mcp@2.0.99', 'ai@7.0.173'],
    driver: library('ai-sdk'),
  },
  {
    name: 'langchain',
    title: 'LangChain MCP adapters',
    packages: ['@langchain/mcp-adapters@1.1.4', '@langchain/core@1.4.0'],
    driver: library('langchain'),
  },
  {
    name: 'openai-agents',
    title: 'OpenAI Agents SDK',
    packages: ['@openai/agents@0.20.0'],
    driver: library('openai-agents'),
  },
  {
    name: 'mastra',
    title: 'Mastra',
    packages: ['@mastra/mcp@2.0.0', '@mastra/core@1.71.0'],
    driver: library('mastra'),
  },
]

/** The version of the client itself. */
export const versionOf = ({ packages: [first = ''] }: Client) =>
  first.slice(first.lastIndexOf('@') + 1)
