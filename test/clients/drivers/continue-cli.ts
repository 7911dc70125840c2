/** Its command line does not sign in: it takes headers. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Driver } from '../driver.ts'
import { promptFor } from '../model/wish.ts'

const CONFIG = 'config.yaml'

export const continueCli: Driver = ({ folder, site, start }) => {
  const configure = (headers: Record<string, string>) =>
    // JSON is YAML.
    writeFile(
      join(folder, CONFIG),
      JSON.stringify({
        name: 'local',
        version: '1.0.0',
        schema: 'v1',
        models: [
          {
            name: 'model',
            provider: 'openai',
            model: 'model',
            apiBase: `${site.modelUrl}/v1`,
            apiKey: 'unused',
            roles: ['chat'],
            capabilities: ['tool_use'],
          },
        ],
        mcpServers: [
          {
            name: 'claude',
            type: 'streamable-http',
            url: site.mcpUrl,
            requestOptions: { headers },
          },
        ],
      }),
    )
  const ask = (prompt: string) =>
    start('cn', ['--config', CONFIG, '--auto', '-p', prompt], {
      env: { CONTINUE_TELEMETRY_ENABLED: '0' },
      mayFail: true,
    }).output()
  return {
    signsInBy: 'token',
    async connect() {
      await configure({})
      const told = await ask('Hello')
      if (!told.includes('This request needs an access token')) throw new Error(told)
    },
    async signIn() {
      await configure({ Authorization: `Bearer ${await site.newToken()}` })
      await ask('Hello')
    },
    call: (tool, args) => ask(promptFor({ tool, args })),
  }
}
