import type { Driver } from '../driver.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'

const NAME = 'claude'

export const mcporter: Driver = ({ site, start }) => ({
  async connect() {
    const [, ...add] = readmeCommand('mcporter config add', site.mcpUrl)
    await start('mcporter', add).output()
    await start('mcporter', ['list']).until(/auth required/)
  },
  async signIn() {
    const program = start('mcporter', ['auth', NAME])
    await answerPage(program, site)
    await program.output()
    await start('mcporter', ['list']).until(/\d+ tools/)
  },
  call(tool, args) {
    const target = `${NAME}.claude-api-gateway_${tool}`
    const command = ['call', target, '--args', JSON.stringify(args)]
    return start('mcporter', command, { mayFail: true }).output()
  },
})
