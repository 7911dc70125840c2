import type { Driver } from '../driver.ts'
import { answerPage } from './answer-page.ts'

export const mcporter: Driver = ({ site, start }) => ({
  async connect() {
    await start('mcporter', ['config', 'add', 'gateway', site.mcpUrl]).output()
    await start('mcporter', ['list']).until(/auth required/)
  },
  async signIn() {
    const program = start('mcporter', ['auth', 'gateway'])
    await answerPage(program, site)
    await program.output()
    await start('mcporter', ['list']).until(/\d+ tools/)
  },
  call(tool, args) {
    const target = `gateway.claude-api-gateway_${tool}`
    const command = ['call', target, '--args', JSON.stringify(args)]
    return start('mcporter', command, { mayFail: true }).output()
  },
})
