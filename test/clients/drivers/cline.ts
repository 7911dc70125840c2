import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'
import type { Program } from '../program.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'
import { DOWN, ENTER, press } from './keyboard.ts'

export const cline: Driver = ({ site, start }) => {
  let screen: Program
  return {
    async connect() {
      const model = ['-m', 'model', '-b', `${site.modelUrl}/v1`]
      await start('cline', ['auth', 'openai', '-k', 'unused', ...model]).output()
      const [, ...install] = readmeCommand('cline mcp install', site.mcpUrl)
      await start('cline', install).output()
      screen = start('cline', ['mcp'], { terminal: true })
      await screen.until(/Authorize OAuth/)
    },
    async signIn() {
      await press(screen, DOWN, DOWN, DOWN, DOWN, ENTER)
      await screen.until(/claude/)
      await press(screen, ENTER)
      await answerPage(screen, site)
      await screen.until(/authorization completed|uccess/)
      screen.stop()
    },
    call: (tool, args) => start('cline', [promptFor({ tool, args })]).output(),
  }
}
