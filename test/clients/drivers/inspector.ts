import type { Driver } from '../driver.ts'
import { answerPage } from './answer-page.ts'

/** Nobody sits at a terminal, and no keychain is there. */
const env = { MCP_AUTO_OPEN_ENABLED: 'true', MCP_INSPECTOR_SECRET_STORE: 'file' }

export const inspector: Driver = ({ site, start }) => {
  const inspect = (...args: string[]) =>
    start('mcp-inspector', ['--cli', site.mcpUrl, '--transport', 'http', ...args], {
      env,
      mayFail: true,
    })
  const list = ['--method', 'tools/list']
  return {
    async connect() {
      await inspect(...list, '--stored-auth-only').until(/auth_required/)
    },
    async signIn() {
      const program = inspect(...list)
      await answerPage(program, site)
      await program.until(/claude-api-gateway_send_message/)
    },
    call(tool, args) {
      const call = ['--method', 'tools/call', '--tool-name', `claude-api-gateway_${tool}`]
      return inspect(...call, '--tool-args-json', JSON.stringify(args)).output()
    },
  }
}
