import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'
import type { Program } from '../program.ts'
import { readmeCommand } from '../readme.ts'
import { answerPage } from './answer-page.ts'

const configFor = (modelUrl: string) => `
model = "model"
model_provider = "local"
[model_providers.local]
name = "Local"
base_url = "${modelUrl}/v1"
wire_api = "responses"
`

export const codex: Driver = ({ folder, site, start }) => {
  const approving = 'mcp_servers.claude.default_tools_approval_mode="approve"'
  const [, ...add] = readmeCommand('codex mcp add', site.mcpUrl)
  let program: Program
  return {
    async connect() {
      await mkdir(join(folder, '.codex'))
      await writeFile(join(folder, '.codex', 'config.toml'), configFor(site.modelUrl))
      program = start('codex', add)
      await program.until(/Authorize `claude`/)
    },
    async signIn() {
      await answerPage(program, site)
      await program.until(/Successfully logged in/)
      await start('codex', ['mcp', 'list']).until(/enabled +OAuth/)
    },
    call(tool, args) {
      const prompt = promptFor({ tool, args })
      return start('codex', ['exec', '-c', approving, '--skip-git-repo-check', prompt]).output()
    },
  }
}
