import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'
import type { Program } from '../program.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'
import { ENTER, press } from './keyboard.ts'

export const geminiCli: Driver = ({ folder, site, start }) => {
  const settings = {
    security: { auth: { selectedType: 'gemini-api-key' } },
    general: { enableAutoUpdate: false },
    privacy: { usageStatisticsEnabled: false },
  }
  const env = {
    GEMINI_API_KEY: 'unused',
    GOOGLE_GEMINI_BASE_URL: site.modelUrl,
    GEMINI_CLI_TRUST_WORKSPACE: 'true',
  }
  let screen: Program
  return {
    async connect() {
      await mkdir(join(folder, '.gemini'))
      await writeFile(join(folder, '.gemini', 'settings.json'), JSON.stringify(settings))
      const [, ...add] = readmeCommand('gemini mcp add', site.mcpUrl)
      await start('gemini', add, { env }).output()
      screen = start('gemini', [], { env, terminal: true })
      await screen.until(/Type your message/)
      await press(screen, '/mcp auth claude', ENTER)
      await screen.until(/Authentication required/)
    },
    async signIn() {
      await press(screen, ENTER)
      await answerPage(screen, site)
      await screen.until(/Successfully authenticated/)
      screen.stop()
      await start('gemini', ['mcp', 'list'], { env }).until(/Connected/)
    },
    call: (tool, args) =>
      start('gemini', ['--yolo', '-m', 'gemini-2.5-flash', '-p', promptFor({ tool, args })], {
        env,
      }).output(),
  }
}
