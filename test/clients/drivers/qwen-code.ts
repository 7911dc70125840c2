import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'
import type { Program } from '../program.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'
import { DOWN, ENTER, press } from './keyboard.ts'

export const qwenCode: Driver = ({ folder, site, start }) => {
  const settings = {
    security: { auth: { selectedType: 'openai' } },
    // Its model would have to search for the tools first.
    tools: { toolSearch: { enabled: false } },
    general: { enableAutoUpdate: false },
    privacy: { usageStatisticsEnabled: false },
  }
  const env = {
    OPENAI_API_KEY: 'unused',
    OPENAI_BASE_URL: `${site.modelUrl}/v1`,
    OPENAI_MODEL: 'model',
  }
  let screen: Program
  return {
    async connect() {
      await mkdir(join(folder, '.qwen'))
      await writeFile(join(folder, '.qwen', 'settings.json'), JSON.stringify(settings))
      const [, ...add] = readmeCommand('qwen mcp add', site.mcpUrl)
      await start('qwen', add, { env }).output()
      screen = start('qwen', [], { env, terminal: true })
      await screen.until(/1 MCP offline/)
      await press(screen, '/mcp', ENTER)
      await screen.until(/needs authentication/)
    },
    async signIn() {
      await press(screen, ENTER)
      await screen.until(/Authenticate/)
      await press(screen, DOWN, DOWN, ENTER)
      await answerPage(screen, site)
      await screen.until(/[Ss]uccess/)
      screen.stop()
      await start('qwen', ['mcp', 'list'], { env }).until(/Connected/)
    },
    call: (tool, args) => start('qwen', ['--yolo', promptFor({ tool, args })], { env }).output(),
  }
}
