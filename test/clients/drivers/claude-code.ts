import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'

export const claudeCode: Driver = ({ site, start }) => {
  const env = {
    ANTHROPIC_BASE_URL: site.modelUrl,
    ANTHROPIC_API_KEY: 'sk-ant-api03-unused',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    ENABLE_TOOL_SEARCH: 'false',
  }
  const [, ...add] = readmeCommand('claude mcp add', site.mcpUrl)
  const name = add.at(-2) as string
  return {
    async connect() {
      await start('claude', add, { env }).output()
      await start('claude', ['mcp', 'list'], { env }).until(/Needs authentication/)
    },
    async signIn() {
      const program = start('claude', ['mcp', 'login', name], { env, terminal: true })
      await answerPage(program, site)
      await program.until(/uthenticated|success/)
      await start('claude', ['mcp', 'list'], { env }).until(/Connected/)
    },
    call(tool, args) {
      const prompt = promptFor({ tool, args })
      return start('claude', ['-p', prompt, '--allowedTools', `mcp__${name}`], { env }).output()
    },
  }
}
