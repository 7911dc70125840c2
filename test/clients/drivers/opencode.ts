import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'

export const opencode: Driver = ({ folder, site, start }) => {
  const provider = {
    npm: '@ai-sdk/openai-compatible',
    options: { baseURL: `${site.modelUrl}/v1`, apiKey: 'unused' },
    models: { model: { name: 'A model', tool_call: true } },
  }
  const config = {
    provider: { local: provider },
    model: 'local/model',
    autoupdate: false,
  }
  return {
    async connect() {
      await writeFile(join(folder, 'opencode.json'), JSON.stringify(config))
      const [, ...add] = readmeCommand('opencode mcp add', site.mcpUrl)
      await start('opencode', add).output()
      await start('opencode', ['mcp', 'list']).until(/needs authentication/)
    },
    async signIn() {
      const program = start('opencode', ['mcp', 'auth', 'claude'])
      await answerPage(program, site)
      await program.until(/Authentication successful/)
      const [, ...add] = readmeCommand('opencode mcp add', site.mcpUrl)
      await start('opencode', add).output()
      await start('opencode', ['mcp', 'list']).until(/claude connected/)
    },
    call: (tool, args) => start('opencode', ['run', promptFor({ tool, args })]).output(),
  }
}
