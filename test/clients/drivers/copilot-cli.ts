import type { Driver } from '../driver.ts'
import { NO_SUCH_TOOL, promptFor } from '../model/wish.ts'
import type { Program } from '../program.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'
import { ENTER, press } from './keyboard.ts'

/** Without a screen it may ask its model before it is connected to the servers. */
const IS_EARLY = new RegExp(`${NO_SUCH_TOOL}|requires authentication`)
const MAX_ATTEMPTS = 5

export const copilotCli: Driver = ({ site, start }) => {
  const env = {
    COPILOT_OFFLINE: 'true',
    COPILOT_PROVIDER_BASE_URL: `${site.modelUrl}/v1`,
    COPILOT_PROVIDER_API_KEY: 'unused',
    COPILOT_MODEL: 'model',
  }
  let screen: Program
  return {
    async connect() {
      const [, ...add] = readmeCommand('copilot mcp add', site.mcpUrl)
      await start('copilot', add, { env }).output()
      screen = start('copilot', [], { env, terminal: true })
      await screen.until(/Do you trust/)
      await press(screen, ENTER)
      await screen.until(/requires authentication|0 servers connected/)
    },
    async signIn() {
      await press(screen, '/mcp auth claude', ENTER)
      await answerPage(screen, site)
      await screen.until(/uthenticated|1 server connected/)
      screen.stop()
    },
    async call(tool, args) {
      const command = ['--allow-all-tools', '-p', promptFor({ tool, args })]
      for (let attempts = 1; ; attempts += 1) {
        const told = await start('copilot', command, { env }).output()
        if (!IS_EARLY.test(told) || attempts === MAX_ATTEMPTS) return told
      }
    },
  }
}
